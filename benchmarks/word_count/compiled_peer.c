/* Counts the words of a text, by the rules of batch_jobs/workloads/word_count/words.py: what a compiled counter makes of one core.
 *
 *     word_counter FILE TABLES [DUMP]
 *
 * TABLES holds, for each of 0x110000 code points, four little-endian bytes: its lower case, and in the highest bit
 * whether it is part of a word. (U+0130, whose lower case is two characters, and a sigma at a word's end are done
 * below.) Prints CPU seconds, running words and distinct words; DUMP gets word<TAB>count lines, in no order.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct { const uint8_t *word; uint32_t length; uint32_t hash; uint64_t count; } slot;

static slot *slots;
static size_t room = 1 << 16, used;
static uint8_t *arena;
static size_t arena_left;
static uint64_t total;

static const uint8_t *keep(const uint8_t *word, uint32_t length) {
    if (arena_left < length) {
        arena_left = length > (1 << 20) ? length : (1 << 20);
        arena = malloc(arena_left);
    }
    uint8_t *kept = arena;
    memcpy(kept, word, length);
    arena += length;
    arena_left -= length;
    return kept;
}

static void grow(void) {
    slot *old = slots;
    size_t before = room;
    room *= 4;
    slots = calloc(room, sizeof *slots);
    for (size_t i = 0; i < before; i++) {
        if (!old[i].count) continue;
        size_t at = old[i].hash & (room - 1);
        while (slots[at].count) at = (at + 1) & (room - 1);
        slots[at] = old[i];
    }
    free(old);
}

static inline void count(const uint8_t *word, uint32_t length, uint64_t mixed) {
    uint32_t hash = (uint32_t)(mixed ^ mixed >> 32) * 0x9E3779B1u;
    hash ^= hash >> 15;
    size_t at = hash & (room - 1);
    total++;
    while (slots[at].count) {
        if (slots[at].hash == hash && slots[at].length == length && !memcmp(slots[at].word, word, length)) {
            slots[at].count++;
            return;
        }
        at = (at + 1) & (room - 1);
    }
    slots[at] = (slot){keep(word, length), length, hash, 1};
    if (++used * 2 > room) grow();
}

static inline int put(uint8_t *to, uint32_t code) {
    if (code < 0x80) { to[0] = code; return 1; }
    if (code < 0x800) { to[0] = 0xC0 | code >> 6; to[1] = 0x80 | (code & 63); return 2; }
    if (code < 0x10000) {
        to[0] = 0xE0 | code >> 12; to[1] = 0x80 | (code >> 6 & 63); to[2] = 0x80 | (code & 63); return 3;
    }
    to[0] = 0xF0 | code >> 18; to[1] = 0x80 | (code >> 12 & 63); to[2] = 0x80 | (code >> 6 & 63);
    to[3] = 0x80 | (code & 63);
    return 4;
}

static uint8_t *read_all(const char *name, size_t *size) {
    FILE *file = fopen(name, "rb");
    if (!file) { perror(name); exit(2); }
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    uint8_t *bytes = calloc(*size + 8, 1);
    if (fread(bytes, 1, *size, file) != *size) { perror(name); exit(2); }
    fclose(file);
    return bytes;
}

int main(int given, char **names) {
    if (given < 3) { fputs("word_counter FILE TABLES [DUMP]\n", stderr); return 2; }
    size_t size, table_size;
    uint8_t *text = read_all(names[1], &size);
    const uint32_t *table = (uint32_t *)read_all(names[2], &table_size);
    uint8_t *word = malloc(2 * size + 16);
    clock_t begin = clock();
    slots = calloc(room, sizeof *slots);
    uint32_t length = 0;
    uint64_t mixed = 0;
    int sigma = 0;
    uint8_t ascii[256] = {0};  /* the lower case of an ASCII letter or digit; 0 for all else */
    for (int i = 0; i < 128; i++) ascii[i] = table[i] >> 31 ? (uint8_t)table[i] : 0;
    for (size_t i = 0; i <= size;) {
        for (uint8_t lower; (lower = ascii[text[i]]); i++) {
            word[length++] = lower;
            mixed = (mixed ^ lower) * 0x9E3779B97F4A7C15u;
        }
        uint32_t code = text[i], step = 1;  /* a zero byte ends the text */
        if (code >= 0x80) {
            if (code < 0xE0) { code = (code & 31) << 6 | (text[i + 1] & 63); step = 2; }
            else if (code < 0xF0) { code = (code & 15) << 12 | (text[i + 1] & 63) << 6 | (text[i + 2] & 63); step = 3; }
            else {
                code = (code & 7) << 18 | (text[i + 1] & 63) << 12 | (text[i + 2] & 63) << 6 | (text[i + 3] & 63);
                step = 4;
            }
            if (code > 0x10FFFF) { fputs("not UTF-8\n", stderr); return 1; }
        }
        i += step;
        uint32_t found = table[code];
        if (found >> 31) {
            uint32_t lower = found & 0x1FFFFF, start = length;
            length += put(word + length, lower);
            if (code == 0x130) length += put(word + length, 0x307);
            sigma = code == 0x3A3 ? start + 1 : sigma;
            mixed = (mixed ^ lower) * 0x9E3779B97F4A7C15u;
        } else if (length) {
            if (sigma > 1 && (uint32_t)sigma + 1 == length) word[length - 1] = 0x82;
            count(word, length, mixed);
            length = sigma = 0;
            mixed = 0;
        }
    }
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    printf("%.6f %llu %zu\n", seconds, (unsigned long long)total, used);
    if (given > 3) {
        FILE *dump = fopen(names[3], "wb");
        for (size_t i = 0; i < room; i++)
            if (slots[i].count)
                fprintf(dump, "%.*s\t%llu\n", (int)slots[i].length, slots[i].word, (unsigned long long)slots[i].count);
        fclose(dump);
    }
    return 0;
}
