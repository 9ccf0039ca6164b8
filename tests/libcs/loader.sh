# What programs see of their loader: ldd (up to 2.32 it asks for a status that loaders since 2.33 do not give),
# preloaded objects, libraries that are missing, strace.
version=$(getconf GNU_LIBC_VERSION)
if ((${version##*.} >= 33)); then
ldd /usr/bin/ls | while read -r name rest; do echo "${name##*/} ${rest%%(0x*}"; done | sort
ldd /usr/bin/git >/dev/null && echo $?
fi
LD_PRELOAD=/nothing.so /usr/bin/true 2>&1
LD_PRELOAD=libm.so.6 bash -c 'while read -r line; do [[ $line == *libm[.-]* ]] && { echo preloaded; exit; }; done </proc/self/maps'
cp /usr/bin/sort copy
LD_LIBRARY_PATH=/nowhere ./copy </dev/null && echo fine
strace -ff -e trace=execve -o log bash -c '/usr/bin/true | cat; exit 5' || echo $?
while read -r line; do if [[ $line == execve*'= 0' ]]; then echo "${line%%,*}"; fi; done < <(cat log.*) | sort
getconf GNU_LIBC_VERSION
getconf -a | while read -r name value; do
    case $name in PAGESIZE | *STACK* | CLK_TCK | *SIGST*) echo "$name ${value:-none}" ;; esac
done
getconf -a | while read -r name value; do
    case $name in LEVEL*) echo "$name ${value:-none}" ;; esac
done
