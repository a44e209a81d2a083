/* Random texts and lines through every function of word_table.c, for a build with -fsanitize=address,undefined.
 *
 *     word_table_fuzz ROUNDS [SEED]
 *
 * Every input lies in memory of its own, as long as it is and no longer. What is checked here is that no step leaves
 * its bounds and that no count is lost; that the counts are right is for tests/unit/test_word_counter.py.
 */
#include <stdio.h>

#include "../../batch_jobs/native/word_table.c"

static uint64_t state;

static uint32_t dice(uint32_t sides) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % sides;
}

static const char *pieces[] = {"a", "Z", "word", "ThirtyTwoBytesOfALongerEnglishWord", " ", " ", "\n", "\t", "7", "é",
    "Σ", "水", "\u2019", "\u3002", "\uff0c", "\u060c", "\U0001F33E", "\U0001D49C", "\U00020000", "\xC2", "\xE2\x80",
    "\xF0\x9F", "\x80", "\xED\xA0\x80", "\xFF", "\tx\n", "\t12\n", "12345678901234567890"};

static uint8_t *made(uint32_t most, uint32_t choice, uint64_t *size, uint64_t spare) {
    uint32_t room = dice(most), at = 0, count = sizeof pieces / sizeof *pieces;
    uint8_t *text = malloc(room + 64);
    if (!text) abort();
    while (at < room) {
        const char *piece = pieces[dice(choice < count ? choice : count)];
        memcpy(text + at, piece, strlen(piece));
        at += (uint32_t)strlen(piece);
    }
    *size = at;
    uint8_t *fitting = malloc(at + spare + !(at + spare));
    if (!fitting) abort();
    memcpy(fitting, text, at);
    memset(fitting + at, 0, spare);
    free(text);
    return fitting;
}

static void expect(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void write_all(table *t, int kinds, int order) {
    uint64_t next = 0, size, room = dice(200), bytes = 0;
    int64_t rows = words_order(t, kinds, order);
    uint8_t *out = malloc(room + 1);
    while ((size = words_write(t, &next, '\t', out, room))) {
        if (size <= room) { bytes += size; continue; }
        free(out);
        out = malloc(room = size);
    }
    free(out);
    expect(rows >= 0 && (uint64_t)rows == next && bytes >= 4 * next, "not every row was written");
}

int main(int given, char **words) {
    uint64_t rounds = given > 1 ? strtoull(words[1], NULL, 10) : 1000;
    uint8_t letters[0x20000 / 8], small[0x20000 / 8];
    state = given > 2 ? strtoull(words[2], NULL, 10) : 1;
    for (uint32_t i = 0; i < sizeof letters; i++) letters[i] = (uint8_t)dice(256), small[i] = (uint8_t)dice(256);
    for (uint64_t round = 0; round < rounds; round++) {
        table *t = words_new(letters, small, dice(1u << 30), dice(1u << 30));
        uint64_t added = 0, size;
        for (uint32_t turn = dice(6); turn; turn--) {
            uint8_t *lines = made(300, 999, &size, SPARE);
            int64_t sum = words_add_lines(t, lines, size);
            if (sum < 0) words_clear(t), added = 0; else added += (uint64_t)sum;
            free(lines);
        }
        for (uint32_t turn = dice(8); turn; turn--) {
            uint8_t *text = made(dice(4) ? 300 : 3 * STEP, dice(2) ? 19 : 999, &size, 0);
            int last = (int)dice(2);
            int64_t end = words_count_text(t, text, size, last);
            free(text);
            expect(end == NOT_TEXT || (end >= 0 && (uint64_t)end <= size && (!last || (uint64_t)end == size)), "the end");
            if (end < 0) words_clear(t), added = 0;
        }
        expect(words_sum(t) == words_read(t) + added, "a count was lost");
        write_all(t, (int)dice(8), (int)dice(3));
        expect(words_keep(t, (int)dice(8)) == 0, "memory");
        write_all(t, 7, (int)dice(3));
        words_free(t);
    }
    printf("%llu rounds\n", (unsigned long long)rounds);
    return 0;
}
