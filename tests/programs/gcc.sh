printf '#include <stdio.h>\n#include <math.h>\nint main(int c,char**v){printf("C %%d %%.3f\\n",c,sqrt(c));return 0;}\n' >a.c
for o in -O0 -O2; do L gcc -fno-use-linker-plugin $o -g a.c -o a -lm
L ./a 1 2; done
L gcc -fno-use-linker-plugin -static a.c -o s -lm; ./s
printf 'int f(void){return 5;}\n' >f.c
L gcc -fno-use-linker-plugin -shared -fPIC f.c -o libf.so
L gcc -c f.c
L ar rcs libf.a f.o
L nm libf.a | grep -w T
L objdump -d f.o | grep -c ret
L strip a
L ./a
L readelf -h a | grep Machine
L gcc -c nothing.c 2>/dev/null || echo $?
