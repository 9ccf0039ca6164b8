L /usr/bin/python3 --version
