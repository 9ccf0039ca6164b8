L ldconfig -p | sed -n 1,1p | sed 's/[0-9]* libs/N libs/'
L getent passwd root
L getconf PAGESIZE
L locale | sed -n 1,1p
L uname -sm
