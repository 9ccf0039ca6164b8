# Wheels as they come from the package index: what pip and its settings make of them.
L python3 -m venv env 2>error || skip "no venv: $(sed -n '$p' error)"
install() { env/bin/pip install -q --disable-pip-version-check --no-input --only-binary :all: "$@" >pip.log 2>&1; }
install numpy lxml cryptography || skip "pip cannot install: $(sed -n '$p' pip.log)"
# The interpreter of the environment knows its place by argv[0].
python=env/bin/python
cat >numpy_works.py <<'PY'
import numpy as np, threading
a = np.arange(40000, dtype=float).reshape(200, 200)
print(a.dot(a.T).trace(), np.linalg.matrix_rank(np.eye(50)), np.fft.fft(np.ones(8)).real.tolist())
print(np.random.default_rng(7).integers(0, 100, 5).tolist(), np.linalg.inv(np.array([[2., 0], [0, 4]])).tolist())
results = [None] * 4
def work(i): results[i] = float((a[:50, :50] @ a[:50, :50]).sum())
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
print(len(set(results)))
PY
L $python numpy_works.py
L $python -c '
from lxml import etree
root = etree.fromstring("<a><b c=\"1\">text</b><b/></a>")
print(root.xpath("count(//b)"), etree.tostring(root, pretty_print=True).decode())
style = etree.XSLT(etree.XML("<xsl:stylesheet version=\"1.0\" xmlns:xsl=\"http://www.w3.org/1999/XSL/Transform\"><xsl:template match=\"/\"><r><xsl:value-of select=\"//b\"/></r></xsl:template></xsl:stylesheet>"))
print(style(root))
try: etree.fromstring("<a>")
except etree.XMLSyntaxError as e: print("syntax")'
L $python -c '
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
key = Fernet(Fernet.generate_key()); print(key.decrypt(key.encrypt(b"text")))
k = Ed25519PrivateKey.from_private_bytes(bytes(32)); s = k.sign(b"text"); k.public_key().verify(s, b"text"); print(s.hex()[:16])'
L $python -c 'import numpy, lxml.etree, cryptography.hazmat.bindings._rust, ssl, sqlite3; print("together")'
