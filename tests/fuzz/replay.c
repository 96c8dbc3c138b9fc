/* SPDX-License-Identifier: MIT
 *
 * replay.c - runs a target over the files that are named, once each: for
 * compilers without libFuzzer, and to look at what it has found.
 */
#include "fuzz.h"

int main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        static uint8_t bytes[1 << 20];
        FILE *file = fopen(names[i], "rb");
        size_t size;
        void *copy;

        if (file == NULL) {
            perror(names[i]);
            return 2;
        }
        size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        fprintf(stderr, "%s\n", names[i]);
        copy = fuzz_copy(bytes, size);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
    }
    printf("%d replayed\n", count - 1);
    return 0;
}
