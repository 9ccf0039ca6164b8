# needs: ffmpeg|qemu-system-x86_64|gimp|inkscape|kate|soffice|vlc|blender
# Programs of very many libraries and of many plugins.
export QT_QPA_PLATFORM=offscreen XDG_RUNTIME_DIR=$PWD
chmod 700 .
for program in kate inkscape gimp soffice qemu-system-x86_64 ffmpeg vlc blender; do
    type -P "$program" >/dev/null || continue
    words=--version
    [[ $program != ffmpeg ]] || words=-version
    L "$program" $words 2>/dev/null | sed -n 1,3p || echo "$program: $?"
done
if type -P ffmpeg >/dev/null; then
    L ffmpeg -v error -f lavfi -i testsrc=duration=1:size=64x64:rate=5 -f rawvideo -pix_fmt rgb24 - | L sha256sum
    L ffmpeg -v error -f lavfi -i sine=duration=1 -f wav - | L wc -c
    L ffmpeg -hide_banner -codecs 2>/dev/null | L sha256sum
fi
if type -P qemu-system-x86_64 >/dev/null; then
    # It looks for its modules beside /proc/self/exe, which is the loader's where that is the command.
    export QEMU_MODULE_DIR=/usr/lib/x86_64-linux-gnu/qemu
    L qemu-system-x86_64 -machine help | L wc -l
    L qemu-system-x86_64 -device help 2>/dev/null | L sha256sum
fi
