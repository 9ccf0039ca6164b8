# needs: node
cat >work.js <<'JS'
const crypto = require('crypto'), zlib = require('zlib'), child = require('child_process');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (!isMainThread) {
  parentPort.postMessage(crypto.createHash('sha256').update(String(workerData)).digest('hex').slice(0, 8));
} else (async () => {
  console.log(crypto.createHash('sha512').update('text').digest('base64'));
  const key = crypto.scryptSync('p', 's', 32), cipher = crypto.createCipheriv('aes-256-gcm', key, Buffer.alloc(12));
  console.log(cipher.update('text', 'utf8', 'hex') + cipher.final('hex'), cipher.getAuthTag().toString('hex'));
  const data = Buffer.from('text'.repeat(10000));
  for (const [pack, unpack] of [['gzipSync', 'gunzipSync'], ['brotliCompressSync', 'brotliDecompressSync']])
    console.log(pack, zlib[unpack](zlib[pack](data)).equals(data));
  const replies = await Promise.all([1, 2, 3, 4].map(n => new Promise((done, fail) => {
    const worker = new Worker(__filename, { workerData: n });
    worker.on('message', done); worker.on('error', fail);
  })));
  console.log(replies.join());
  console.log(child.execFileSync('sh', ['-c', 'echo from sh; exit 0']).toString().trim());
  console.log(child.spawnSync('node', ['-p', '6*7']).stdout.toString().trim(), child.spawnSync('false').status);
  console.log(new Intl.NumberFormat('de-DE').format(1234567.891), new Intl.DateTimeFormat('ja', { timeZone: 'UTC', dateStyle: 'full' }).format(0));
  console.log(['ä', 'a', 'z'].sort(new Intl.Collator('sv').compare).join(), 'İ'.toLocaleLowerCase('tr'));
  const dns = await require('dns').promises.lookup('localhost', { family: 4 });
  console.log(dns.address, eval('(function f(n) { return n < 2 ? n : f(n - 1) + f(n - 2) })(20)'));
  const wasm = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127,
    127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11])));
  console.log(wasm.exports.add(40, 2));
  try { process.dlopen({ exports: {} }, './nothing.node') } catch (e) { console.log(e.code, e.message.split('\n')[0]) }
  const addon = { exports: {} };
  process.dlopen(addon, './addon.node');
  console.log(addon.exports.answer());
})();
JS
# An add-on finds the functions of Node-API in the program.
cat >addon.c <<'C'
typedef struct env *env; typedef struct value *value; typedef struct info *info;
int napi_create_int32(env, int, value *);
int napi_create_function(env, const char *, unsigned long, value (*)(env, info), void *, value *);
int napi_set_named_property(env, value, const char *, value);
static __thread int number = 42;
static value answer(env e, info i) { value v = 0; (void)i; napi_create_int32(e, number++, &v); return v; }
value napi_register_module_v1(env e, value exports) {
    value f;
    napi_create_function(e, "answer", 6, answer, 0, &f);
    napi_set_named_property(e, exports, "answer", f);
    return exports;
}
C
gcc -O1 -shared -fPIC addon.c -o addon.node
L node work.js
L node -p 'process.report.getReport().sharedObjects.length > 3'
L node -e 'process.exitCode = 4; process.on("exit", () => console.log("bye"))' || echo $?
L node -e 'throw new TypeError("uncaught")' 2>/dev/null || echo $?
