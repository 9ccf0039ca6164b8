L openssl genrsa -out k 2048 2>/dev/null
L openssl rsa -in k -check -noout
L openssl rsa -in k -pubout -out p 2>/dev/null
L seq 1000 >n
L openssl dgst -sha256 -sign k -out s n
L openssl dgst -sha256 -verify p -signature s n
L openssl dgst -sha256 n
L openssl dgst -sha3-512 n
L openssl enc -aes-256-cbc -pbkdf2 -pass pass:x -in n -out e
L openssl enc -d -aes-256-cbc -pbkdf2 -pass pass:x -in e | L cmp - n && echo decrypted
L openssl ecparam -name prime256v1 -genkey -noout -out ec
L openssl ec -in ec -check -noout 2>&1 | tail -1
L openssl version
