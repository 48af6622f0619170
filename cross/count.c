/* A plugin of qemu that counts the instructions of each block of code; see instructions.sh.
 *
 *     qemu-mipsel -plugin libcount.so,out=FILE PROGRAM
 *
 * When the program ends, FILE has a line for each block: its address, and instructions executed. Debian does not ship
 * qemu's header, so what is used of its interface, version 1, is declared here. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct plugin_tb;
enum { INLINE_ADD_U64 = 0 };
uint64_t qemu_plugin_tb_vaddr(const struct plugin_tb *tb);
size_t qemu_plugin_tb_n_insns(const struct plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*cb)(plugin_id, struct plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_inline(struct plugin_tb *tb, int op, void *counter, uint64_t add);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*cb)(plugin_id, void *), void *data);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* A block that is translated again gets another. */
struct block {
    uint64_t address, executed;
    struct block *next;
};
static struct block *blocks;
static char *out;

static void translated(plugin_id id, struct plugin_tb *tb) {
    struct block *block = calloc(1, sizeof *block);
    (void)id;
    if (block == NULL)
        abort();
    *block = (struct block){.address = qemu_plugin_tb_vaddr(tb), .next = blocks};
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_inline(tb, INLINE_ADD_U64, &block->executed, qemu_plugin_tb_n_insns(tb));
}

static void finish(plugin_id id, void *data) {
    FILE *file = fopen(out, "w");
    (void)id, (void)data;
    if (file == NULL)
        abort();
    for (struct block *block = blocks; block != NULL; block = block->next)
        if (block->executed != 0)
            fprintf(file, "%" PRIx64 " %" PRIu64 "\n", block->address, block->executed);
    if (fclose(file) != 0)
        abort();
}

__attribute__((visibility("default"))) int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    for (int i = 0; i < argc; i++)
        if (strncmp(argv[i], "out=", 4) == 0)
            out = strdup(argv[i] + 4);
    if (out == NULL)
        return 1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finish, NULL);
    return 0;
}
