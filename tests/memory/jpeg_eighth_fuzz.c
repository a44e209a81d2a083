/* Random JPEGs, sound, changed and cut off, through jpeg_eighth.c, for a build with -fsanitize=address,undefined.
 *
 *     jpeg_eighth_fuzz ROUNDS [SEED]
 *
 * Every file lies in memory of its own, as long as it is and no longer. What is checked here is that no step leaves its
 * bounds, and that what is sound is decoded; that the pixels are right is for tests/unit/test_jpeg_eighth.py.
 */
#include <stdio.h>

#include "../../batch_jobs/workloads/jpeg_eighth.c"

static uint64_t state;

static uint32_t dice(uint32_t sides) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % sides;
}

typedef struct {
    uint8_t *bytes;
    uint64_t used, room, bits;
    uint32_t held;
} sink;

typedef struct {
    uint32_t count;
    uint8_t counts[17], symbols[256], lengths[256];
    uint16_t codes[256];
} table;

static void put(sink *s, uint32_t byte) {
    if (s->used == s->room && !(s->bytes = realloc(s->bytes, s->room = s->room * 2 + 64))) abort();
    s->bytes[s->used++] = (uint8_t)byte;
}

static void put16(sink *s, uint32_t number) { put(s, number >> 8), put(s, number & 255); }

static void put_bits(sink *s, uint32_t bits, uint32_t count) {
    for (; count; count--) {
        s->bits = s->bits << 1 | (bits >> (count - 1) & 1);
        if (++s->held < 8) continue;
        put(s, s->bits & 255);
        if ((s->bits & 255) == 255) put(s, 0);
        s->bits = s->held = 0;
    }
}

static void put_symbol(sink *s, const table *t, uint32_t nth) { put_bits(s, t->codes[nth], t->lengths[nth]); }

/* A code of random lengths: the symbols of `list`, or some of them and the first. */
static void make_table(sink *s, table *t, uint32_t destination, const uint8_t *list, uint32_t most) {
    uint32_t code = 0, from = dice(9), chosen = 1 + dice(most);
    memset(t, 0, sizeof *t);
    for (uint32_t length = 1; length <= 16 && t->count < chosen; length++, code <<= 1) {
        uint32_t room = (1u << length) - 1 - code, left = chosen - t->count;
        uint32_t count = length == 16 ? room : length < from ? 0 : dice(room < 40 ? room + 1 : 40);
        if (count > left) count = left;
        if (count == room && length < 16 && count < left) count--;  /* leave codes to the longer ones */
        for (uint32_t i = 0; i < count; i++, code++) {
            t->lengths[t->count] = (uint8_t)length;
            t->codes[t->count] = (uint16_t)code;
            t->symbols[t->count] = list[t->count];
            t->count++;
        }
        t->counts[length] = (uint8_t)count;
    }
    put16(s, 0xFFC4), put16(s, 19 + t->count), put(s, destination);
    for (uint32_t length = 1; length <= 16; length++) put(s, t->counts[length]);
    for (uint32_t i = 0; i < t->count; i++) put(s, t->symbols[i]);
}

static void put_block(sink *s, const table *dc, const table *ac, uint32_t zeros) {
    uint32_t nth = dice(dc->count), k = 1;
    put_symbol(s, dc, nth);
    put_bits(s, dice(1u << 15), dc->symbols[nth]);
    while (k < 64) {
        nth = dice(4) < zeros ? 0 : dice(ac->count);  /* the first symbol ends a block */
        uint32_t run = ac->symbols[nth] >> 4, size = ac->symbols[nth] & 15;
        if ((size || run == 15) && k + run > 63) nth = size = run = 0;
        put_symbol(s, ac, nth);
        put_bits(s, dice(1u << 15), size);
        if (!size && run != 15) return;
        k += run + 1;
    }
}

/* Of the first ones, chroma has blocks of 2 x 2 pixels: coefficients that no picture has are refused there. */
static const uint8_t layouts[][2] = {{0x22, 0x11}, {0x42, 0x11}, {0x24, 0x11}, {0x21, 0x11}, {0x12, 0x11}, {0x11, 0x11},
    {0x41, 0x11}, {0x14, 0x11}, {0x22, 0x12}, {0x22, 0x21}};
enum { LARGE = 3 };

/* Returns whether it must be decoded. */
static int make_file(sink *s, uint32_t *width, uint32_t *height, uint32_t *channels) {
    uint8_t list[256];
    table tables[4];
    uint32_t layout = dice(3) ? dice(sizeof layouts / sizeof *layouts) : 0, wide = dice(4) ? 70 : 700, zeros = dice(5);
    *channels = dice(4) ? 3 : 1;
    *width = 1 + dice(wide), *height = 1 + dice(wide);
    s->used = s->bits = s->held = 0;
    put16(s, 0xFFD8);
    for (uint32_t which = 0; which < 2; which++) {
        put16(s, 0xFFDB), put16(s, 67), put(s, which);
        for (uint32_t i = 0; i < 64; i++) put(s, 1 + dice(dice(2) ? 255 : 4));
    }
    for (uint32_t i = 0; i < 12; i++) list[i] = (uint8_t)i;
    for (uint32_t i = 0; i < 2; i++) make_table(s, tables + i, i, list, 12);
    for (uint32_t i = 0; i < 256; i++) list[i] = (uint8_t)(dice(3) ? dice(256) & 0x7A : i);
    list[0] = 0, list[1] = 0xF0;
    for (uint32_t i = 0; i < 2; i++) make_table(s, tables + 2 + i, 0x10 + i, list, 254);
    put16(s, 0xFFC0), put16(s, 8 + 3 * *channels), put(s, 8), put16(s, *height), put16(s, *width), put(s, *channels);
    for (uint32_t i = 0; i < *channels; i++) put(s, i + 1), put(s, layouts[layout][i > 0]), put(s, i > 0);
    uint32_t h = layouts[layout][0] >> 4, v = layouts[layout][0] & 15;
    uint32_t interval = dice(2) ? 0 : 1 + dice(dice(2) ? 5 : 500);
    if (*channels == 1) h = v = 1;
    put16(s, 0xFFDD), put16(s, 4), put16(s, interval);
    put16(s, 0xFFDA), put16(s, 6 + 2 * *channels), put(s, *channels);
    for (uint32_t i = 0; i < *channels; i++) put(s, i + 1), put(s, i ? 0x11 : 0);
    put(s, 0), put(s, 63), put(s, 0);
    uint32_t mcus = ((*width + 8 * h - 1) / (8 * h)) * ((*height + 8 * v - 1) / (8 * v));
    uint32_t of_color = (uint32_t)(layouts[layout][1] >> 4) * (layouts[layout][1] & 15);
    for (uint32_t mcu = 0; mcu < mcus; mcu++) {
        if (mcu && interval && mcu % interval == 0) {
            if (s->held) put_bits(s, 0x7F, 8 - s->held);
            put16(s, 0xFFD0 + (mcu / interval - 1) % 8);
        }
        for (uint32_t i = 0; i < h * v; i++) put_block(s, tables, tables + 2, zeros);
        for (uint32_t i = 0; *channels == 3 && i < 2 * of_color; i++) put_block(s, tables + 1, tables + 3, zeros);
    }
    if (s->held) put_bits(s, 0x7F, 8 - s->held);
    put16(s, 0xFFD9);
    return *channels == 1 || layout >= LARGE;
}

static int decoded(decoder *d, const sink *s, uint64_t size, uint32_t width, uint32_t height, uint32_t channels) {
    size_t places = (size_t)((width + 7) / 8) * ((height + 7) / 8);
    uint8_t *file = malloc(size + !size), *pixels = malloc(places * (channels == 1 ? 1 : 4));
    if (!file || !pixels) abort();
    memcpy(file, s->bytes, size);
    int done = jpeg_eighth(d, file, size, width, height, channels, pixels);
    free(file);
    free(pixels);
    return done;
}

int main(int given, char **words) {
    uint64_t rounds = given > 1 ? strtoull(words[1], NULL, 10) : 1000, large = 0, large_done = 0;
    state = given > 2 ? strtoull(words[2], NULL, 10) : 1;
    sink s = {0};
    decoder *d = jpeg_new();
    for (uint64_t round = 0; round < rounds; round++) {
        uint32_t width, height, channels;
        if (!d || !dice(4)) {
            jpeg_free(d);
            if (!(d = jpeg_new())) abort();
        }
        int sure = make_file(&s, &width, &height, &channels), done = decoded(d, &s, s.used, width, height, channels);
        large += (uint64_t)!sure;
        large_done += (uint64_t)(!sure && done);
        if (sure && !done) {
            fprintf(stderr, "round %llu: a sound file was refused\n", (unsigned long long)round);
            return 1;
        }
        for (uint32_t turn = dice(6); turn; turn--) {  /* each turn changes more */
            for (uint32_t i = 1 + dice(3); i; i--) {
                uint64_t at = dice(dice(3) ? (uint32_t)s.used : 700) % s.used;
                s.bytes[at] = (uint8_t)(dice(3) ? dice(256) : s.bytes[at] ^ 1u << dice(8));
            }
            decoded(d, &s, dice(4) ? s.used : dice((uint32_t)s.used + 1), width, height, channels);
        }
    }
    free(s.bytes);
    jpeg_free(d);
    if (large_done * 5 < large) {
        fprintf(stderr, "only %llu of %llu were decoded\n", (unsigned long long)large_done, (unsigned long long)large);
        return 1;
    }
    printf("%llu rounds\n", (unsigned long long)rounds);
    return 0;
}
