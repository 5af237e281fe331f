// Tries what wasi-libc can do, and tells when it finds something amiss: a clock, randomness and output
// are there, and nothing else is.

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "balancer.h"

static const char *amiss(void) {
    if (time(NULL) < 1700000000) return "it is long ago";
    struct timespec begin, now;
    if (clock_gettime(CLOCK_MONOTONIC, &begin) != 0) return "there is no clock";
    for (int i = 0; i < 1000; i++) clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == begin.tv_sec && now.tv_nsec == begin.tv_nsec) return "the clock stands still";
    unsigned char first[13] = {0}, second[13] = {0};
    if (getentropy(first, 13) != 0 || getentropy(second, 13) != 0) return "there is no randomness";
    int same = 0, zero = 0;
    for (int i = 0; i < 13; i++) same += first[i] == second[i], zero += first[i] == 0;
    if (same > 6 || zero > 6) return "random bytes repeat";
    if (fopen("/etc/passwd", "r") != NULL || open(".", O_RDONLY) >= 0) return "there are files";
    if (getenv("PATH") != NULL) return "there is an environment";
    if (getchar() != EOF) return "there is input";
    struct stat stat;
    if (fstat(1, &stat) != 0 || !S_ISCHR(stat.st_mode) || !isatty(2)) return "standard output is no terminal";
    if (lseek(1, 0, SEEK_SET) >= 0) return "standard output has a place";
    if (write(7, "x", 1) >= 0) return "there is a seventh file";
    return NULL;
}

bool exports_jackfield_plugin_balancing_configure(balancer_string_t *settings, balancer_string_t *error) {
    printf("C says hello, %d\n", (int)settings->len);
    balancer_string_free(settings);
    const char *what = amiss();
    if (what != NULL) balancer_string_dup(error, what);
    return what == NULL;
}

void exports_jackfield_plugin_balancing_update(exports_jackfield_plugin_balancing_endpoint_set_t *endpoints) {
    exports_jackfield_plugin_balancing_endpoint_set_free(endpoints);
}

uint32_t exports_jackfield_plugin_balancing_pick(exports_jackfield_plugin_balancing_pick_context_t *context) {
    (void)context;
    fprintf(stderr, "C on the ");
    fprintf(stderr, "other stream\n");
    return 0;
}
