# needs: javac java
cat >Work.java <<'JAVA'
import java.util.*;
import java.util.concurrent.atomic.AtomicLong;
public class Work {
    static native int twice(int n);
    static native void thrower();
    static native int threads();
    static int called(int n) { return n + 1; }
    static int depth(int n) { return n == 0 ? 0 : 1 + depth(n - 1); }
    static int forever(int n) { return 1 + forever(n + 1); }
    public static void main(String[] args) throws Exception {
        System.out.println("hello " + String.join(",", args));
        AtomicLong sum = new AtomicLong();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 50; i++) {
            int n = i;
            threads.add(new Thread(() -> { for (int k = 0; k < 1000; k++) sum.addAndGet(n); }));
        }
        for (Thread t : threads) t.start();
        for (Thread t : threads) t.join();
        System.out.println(sum);
        System.out.println(Work.class.getDeclaredMethod("called", int.class).invoke(null, 41));
        System.out.println(Class.forName("java.util.TreeMap").getDeclaredConstructor().newInstance());
        try { Object o = null; o.hashCode(); } catch (NullPointerException e) { System.out.println("null"); }
        try { forever(0); } catch (StackOverflowError e) { System.out.println("overflow " + depth(1000)); }
        try { System.loadLibrary("nothing"); } catch (UnsatisfiedLinkError e) { System.out.println(e.getMessage().split(" in ")[0]); }
        try { twice(1); } catch (UnsatisfiedLinkError e) { System.out.println("not yet"); }
        System.loadLibrary("work");
        System.out.println(twice(21));
        try { thrower(); } catch (IllegalStateException e) { System.out.println(e.getMessage()); }
        int[] counts = new int[10];
        Thread[] natives = new Thread[10];
        for (int i = 0; i < 10; i++) { int n = i; natives[i] = new Thread(() -> { for (int k = 0; k <= n; k++) counts[n] = Work.threads(); }); natives[i].start(); }
        for (Thread t : natives) t.join();
        System.out.println(Arrays.toString(counts));
        System.gc();
        java.security.MessageDigest d = java.security.MessageDigest.getInstance("SHA-256");
        System.out.println(new java.math.BigInteger(1, d.digest("text".getBytes())).toString(16));
        System.out.println(java.net.InetAddress.getByName("localhost").isLoopbackAddress());
        var out = new java.io.ByteArrayOutputStream();
        try (var zip = new java.util.zip.GZIPOutputStream(out)) { zip.write(new byte[100000]); }
        System.out.println(out.size() < 1000);
        System.exit(3);
    }
}
JAVA
cat >work.c <<'C'
#include <jni.h>
static __thread int calls;
JNIEXPORT jint JNICALL Java_Work_twice(JNIEnv *e, jclass c, jint n) {
    jmethodID m = (*e)->GetStaticMethodID(e, c, "called", "(I)I");
    return n + (*e)->CallStaticIntMethod(e, c, m, n - 1);
}
JNIEXPORT void JNICALL Java_Work_thrower(JNIEnv *e, jclass c) {
    (void)c;
    (*e)->ThrowNew(e, (*e)->FindClass(e, "java/lang/IllegalStateException"), "from C");
}
JNIEXPORT jint JNICALL Java_Work_threads(JNIEnv *e, jclass c) { (void)e, (void)c; return ++calls; }
JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM *vm, void *unused) { (void)vm, (void)unused; return JNI_VERSION_1_8; }
C
# Java finds its home from the name of /proc/self/exe, if there is a lib folder in it: as a command, that is the loader.
[[ -z ${DIRECT:-} ]] || { mkdir lib; cp "$DIRECT" lib/loader; DIRECT=$PWD/lib/loader; }
# Their $ORIGIN is where they really are.
home=$(readlink -f "$(type -P javac)"); home=${home%/bin/javac}
gcc -O1 -shared -fPIC -I"$home/include" -I"$home/include/linux" work.c -o libwork.so
L "$home/bin/javac" -J-Xshare:auto -d . Work.java
L "$home/bin/java" -Xmx128m -Xss512k -Djava.library.path=. -cp . Work a b || echo $?
L "$home/bin/java" -Xint -Xmx128m -Djava.library.path=. -cp . Work int || echo $?
L "$home/bin/java" -cp . NoSuchClass 2>/dev/null || echo $?
L "$home/bin/java" -version 2>&1 | wc -l
