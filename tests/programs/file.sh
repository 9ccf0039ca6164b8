L file -b /bin/ls | cut -d, -f1; echo text >t
L file t
L file -bi t
