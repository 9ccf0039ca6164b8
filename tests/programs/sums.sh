L seq 50000 >n; for s in sha256sum sha512sum sha1sum md5sum b2sum cksum; do L $s n; done
