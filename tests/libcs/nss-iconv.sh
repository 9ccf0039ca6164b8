# What libc opens for itself: services of NSS, converters of iconv, and libgcc_s for pthread_exit(3).
getent passwd root nobody
getent group root nogroup
getent hosts localhost
getent ahosts localhost || echo "ahosts $?"
getent services ssh 80/tcp domain
getent protocols tcp udp
getent passwd no-such-user || echo $?
id root
printf 'Gr\xc3\xbc\xc3\x9fe, 10 \xe2\x82\xac na\xc3\xafve\n' >latin
printf '\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\n' >japanese
for encoding in UTF-16 UTF-32LE CP1252 GB18030 ISO-8859-15 UTF-7; do
    iconv -f UTF-8 -t "$encoding" latin >there || echo "$encoding $?"
    iconv -f "$encoding" -t UTF-8 there | cmp - latin && od -An -tx1 there
done
for encoding in EUC-JP SHIFT_JIS ISO-2022-JP EUC-JISX0213 BIG5-HKSCS; do
    iconv -f UTF-8 -t "$encoding" japanese >there || echo "$encoding $?"
    iconv -f "$encoding" -t UTF-8 there | cmp - japanese && od -An -tx1 there
done
iconv -f UTF-8 -t ASCII//TRANSLIT latin || echo $?
iconv -f UTF-8 -t ISO-8859-1 japanese 2>&1 || echo $?
iconv -f NO-SUCH-ENCODING -t UTF-8 latin 2>&1 || echo $?
locale -a
LC_ALL=C.UTF-8 locale charmap
