//! Compiles programs of musl with the musl of a Debian release, for the shell.

use std::path::Path;

use super::loader;

/// Lines for the shell that define `library` and `program`: what they make, then sources, libraries and flags. Sources
/// are looked for here and in `$SRC`. In the folder, `$DIR`, is then musl's loader, and the same as `libc.so`.
pub fn prelude(root: &Path) -> String {
    format!("SUITE={} RLD={}\n{PRELUDE}\n", root.display(), loader::subject().display())
}

const PRELUDE: &str = r#"
lib=$SUITE/usr/lib/x86_64-linux-musl
compile() {
    gcc -O1 -nostdinc -isystem "$SUITE/usr/include/x86_64-linux-musl" \
        -isystem "$(gcc -print-file-name=include)" -I"$SRC" -nostdlib -o "$@" -L"$lib" -lc -lgcc "$lib/crtn.o"
}
sources() {
    for word; do
        case $word in *.c) [ -e "$word" ] || word=$SRC/$word;; esac
        printf '%s\n' "$word"
    done
}
library() {
    out=$1; shift
    compile "$out" -shared -fPIC "$lib/crti.o" $(sources "$@") -Wl,-soname,"$out" '-Wl,-rpath,$ORIGIN'
}
program() {
    out=$1; shift
    for loader in "$DIR/ld-musl-x86_64.so.1" "$RLD"; do
        compile "$out" -fPIE -pie -Wl,--dynamic-linker="$loader" "$lib/Scrt1.o" "$lib/crti.o" $(sources "$@") \
            '-Wl,-rpath,$ORIGIN'
        out=$out.rld
    done
}
cxx() {
    out=$1; shift
    before=$(gcc -print-file-name=crtbeginS.o) after=$(gcc -print-file-name=crtendS.o)
    case " $* " in *" -shared "*) ;; *) before="$lib/Scrt1.o $before";; esac
    for word; do
        shift
        case $word in *.cc) word=$SRC/$word;; esac
        set -- "$@" "$word"
    done
    g++ -O1 -nostdinc -nostdinc++ -isystem "$SUITE/usr/include/x86_64-linux-musl" \
        -isystem "$(gcc -print-file-name=include)" -I"$SRC" -nostdlib -o "$out" "$lib/crti.o" $before "$@" \
        '-Wl,-rpath,$ORIGIN' -Wl,--allow-shlib-undefined libstdc++* libgcc_s* -L"$lib" -lc -lgcc $after "$lib/crtn.o"
}
cxx_program() {
    out=$1; shift
    for loader in "$DIR/ld-musl-x86_64.so.1" "$RLD"; do
        cxx "$out" -fPIE -pie -Wl,--dynamic-linker="$loader" "$@" libshapes.so
        out=$out.rld
    done
}
cp "$lib/libc.so" libc.so
ln -f libc.so ld-musl-x86_64.so.1
"#;
