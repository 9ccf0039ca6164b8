/* fork(2): its child opens libraries and threads, whatever the parent's other threads were in the middle of. */
#include <dlfcn.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static volatile int stop;

static void *open_again_and_again(void *name)
{
    char path[32];
    for (int at = 0; !stop; at++) {
        snprintf(path, sizeof path, "./copy%d.so", at % 20);
        void *library = dlopen(path, RTLD_NOW);
        if (!library || !dlsym(library, "value")) abort();
        dlsym(RTLD_DEFAULT, "nothing");
        dlclose(library);
    }
    return 0;
}

static void *thread(void *argument) { return (char *)argument + 1; }

static int child(void)
{
    pthread_t other;
    void *answer;
    void *library = dlopen("./copy20.so", RTLD_NOW);
    if (!library) return 1;
    if (((int (*)(void))dlsym(library, "value"))() != 4) return 2;
    if (pthread_create(&other, 0, thread, (void *)4)) return 3;
    pthread_join(other, &answer);
    return (long)answer == 5 ? 0 : 4;
}

int main(void)
{
    pthread_t threads[3];
    int good = 0, status;
    for (int at = 0; at < 3; at++) pthread_create(&threads[at], 0, open_again_and_again, 0);
    for (int at = 0; at < 100; at++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(20);
            _exit(child());
        }
        waitpid(pid, &status, 0);
        good += status == 0;
        if (status) printf("status %x\n", status);
    }
    stop = 1;
    for (int at = 0; at < 3; at++) pthread_join(threads[at], 0);
    printf("%d children\n", good);
    fflush(stdout);
    pid_t pid;
    char *words[] = { "sh", "-c", "echo spawned; exit 3", 0 };
    posix_spawn(&pid, "/bin/sh", 0, 0, words, environ);
    waitpid(pid, &status, 0);
    printf("%d %d\n", WEXITSTATUS(status), WEXITSTATUS(system("exit 4")));
    FILE *pipe = popen("echo piped", "r");
    char line[16] = "";
    printf("%s", fgets(line, sizeof line, pipe));
    printf("%d\n", pclose(pipe));
    exit(fork() ? (wait(&status), WEXITSTATUS(status)) : 6);
}
