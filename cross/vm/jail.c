/* jail PROGRAM ARG...: starts the program as the jail of procd would, as far as that needs nothing of procd: with the filter
 * of system calls of openwrt/ecohttpd/files/seccomp.json, the one capability of capabilities.json, and no new privileges.
 * The mounts of the jail are not made.
 *
 * calls.h has the numbers, made from seccomp.json by vm.sh. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int calls[] = {
#include "calls.h"
};
enum { CALLS = sizeof calls / sizeof *calls };

static int fail(const char *what) {
    perror(what);
    return 1;
}

/* Two statements for each call: unless it is this one, skip; allow. */
static int filter(void) {
    struct sock_filter code[2 * CALLS + 2];
    struct sock_fprog program = {.len = 2 * CALLS + 2, .filter = code};
    int at = 0;
    code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < CALLS; i++) {
        code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
        code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int capabilities(void) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const unsigned one = 1u << CAP_NET_BIND_SERVICE;
    struct __user_cap_data_struct data[2] = {{.effective = one, .permitted = one, .inheritable = one}};
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (cap != CAP_NET_BIND_SERVICE && prctl(PR_CAPBSET_DROP, cap) != 0)
            return -1;
    return syscall(SYS_capset, &header, data) != 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0);
}

int main(int argc, char **argv) {
    if (argc < 2)
        return 2;
    if (capabilities() != 0)
        return fail("capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || filter() != 0)
        return fail("seccomp");
    execv(argv[1], argv + 1);
    return fail(argv[1]);
}
