printf 'Gr\xc3\xbc\xc3\x9fe, 10 \xe2\x82\xac \xe2\x80\x94 na\xc3\xafve\n' >latin
printf '\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe3\x81\x82\xe3\x82\xa2\n' >japanese
printf '\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97\n' >chinese
printf '\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82\n' >russian
printf 'plain ascii\n' >ascii
round() {
    local file=$1 encoding
    shift
    for encoding; do
        L iconv -f UTF-8 -t "$encoding" "$file" >there || echo "$encoding: status $?"
        L iconv -f "$encoding" -t UTF-8 there >back || echo "$encoding: status $?"
        echo "$file $encoding $(od -An -tx1 there | tr -d ' \n') $(cmp -s "$file" back && echo same)"
    done
}
round latin UTF-16 UTF-16BE UTF-32 UTF-32LE UTF-7 UCS-2 CP1252 GB18030
round japanese EUC-JP SHIFT_JIS ISO-2022-JP ISO-2022-JP-3 EUC-JISX0213 UTF-16LE CP932
round chinese GB18030 BIG5 EUC-CN EUC-TW GBK BIG5-HKSCS ISO-2022-CN UHC
round russian KOI8-R CP1251 ISO-8859-5 IBM866 KOI8-U MAC-CYRILLIC
round ascii ISO-8859-15 IBM037 EBCDIC-US ISO-8859-1 ISO-8859-7 TIS-620 VISCII TSCII ARMSCII-8 ISO-2022-KR JOHAB HP-ROMAN8
# Two modules and what both need, in one process.
L iconv -f UTF-8 -t EUC-JP japanese | L iconv -f EUC-JP -t SHIFT_JIS | L iconv -f SHIFT_JIS -t ISO-2022-JP | L od -An -tx1
for locale in C C.UTF-8; do LC_ALL=$locale L iconv -f UTF-8 -t ASCII//TRANSLIT latin || echo $?; done
L iconv -c -f UTF-8 -t ISO-8859-15 latin | L od -An -tx1
L iconv -f UTF-8 -t ISO-8859-1 japanese 2>&1 || echo $?
L iconv -f UTF-8 -t NO-SUCH-ENCODING latin 2>&1 || echo $?
L iconv -f NO-SUCH-ENCODING -t UTF-8 latin 2>&1 || echo $?
L iconv -l | L wc -l
L iconv -l | L sha256sum
L locale -a
L locale
LC_ALL=C.UTF-8 L locale charmap
LC_ALL=xx_YY.UTF-8 L locale charmap 2>/dev/null
L printf '%b' 'b\nB\n\303\244\na\n\303\204\n' | LC_ALL=C.UTF-8 L sort
LC_ALL=C.UTF-8 L wc -m latin japanese
# The C library converts for streams and locales by the same modules.
L python3 -c '
import ctypes
c = ctypes.CDLL(None)
c.iconv_open.restype = ctypes.c_void_p
codes = "EUC-KR BIG5 KOI8-R IBM1047 ISO-8859-16 NOTHING SJIS UTF-7".split()
print([c.iconv_open(code.encode(), b"UTF-8") != 2**64 - 1 for code in codes])'
