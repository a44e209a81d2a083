/* A baseline JPEG's pixels at an eighth of its size, the same ones that libjpeg-turbo gives. image_eighth.py calls it.
 *
 * At that scale a block is one pixel, its DC coefficient; with 4:2:0 a block of chroma is 2 x 2 pixels, to which its
 * coefficients of odd rows and columns add. All other coefficients are only skipped: a look-up of SKIP_BITS bits tells
 * how far the symbols go that begin in them, values included.
 *
 * A look-up waits for the one before. So two lanes are decoded at a time, which a core overlaps: the second begins in
 * the middle, at a restart marker or, where there is none, at any bit, as if an MCU began there. That is wrong, but
 * Huffman codes fall into step: what it decodes counts only from an MCU on that the first lane has come to as well.
 *
 * Whatever is not plain, damaged or beyond the range of sound pictures is refused: Pillow decodes it, or tells what is
 * wrong. T.81 is the JPEG standard; names of functions are libjpeg's, whose arithmetic this repeats.
 *
 * Bounds: a lane looks at where it is once per MCU, which takes at most 10 * 64 * 31 bits: SPARE bytes behind the scan
 * can be read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bytes are swapped for bits, and pixels stored red first");

#define INLINE static inline __attribute__((always_inline))  /* a lane lies in registers then */

enum { SPARE = 4096, VALUE_BITS = 11, SKIP_BITS = 12, MOST_BLOCKS = 10 };
enum { END = 128, LONG = 255 };          /* a look-up's advance where the block ends, and where it does not tell */
enum { GOES_ON = 0, STOPPED = 1, FAULTY = 2 };
enum { KEPT = 16 << 20 };                /* the most bytes that are kept for the next picture */
enum { MOST_DC = 4096, MOST_AC = 1500 };  /* of sound pictures 1,024, and half a quantum (T.81, A.3.3) */
enum { BEYOND = INT32_MIN };             /* a sum that no sound picture has */

typedef struct {
    uint32_t limit[17];    /* the first code of 16 bits that is beyond those of a length */
    int32_t first[17];     /* what to add to a code of a length to find its symbol */
    uint8_t symbols[256];
    int defined;
} code;

typedef struct {
    int32_t top, bottom;   /* what a coefficient adds to its column in either row of pixels, before DESCALE */
    uint16_t quantum, column;
} weight;

typedef struct {
    uint32_t id, h, v, quantizer, dc, ac;
    uint32_t size;         /* pixels of a block, in either direction: libjpeg's DCT_scaled_size */
    uint32_t stride, rows, expand_h, expand_v;
    uint8_t *plane;
    weight weights[64];    /* in the order of the file */
} component;

typedef struct {
    const uint8_t *next;   /* the first byte of which no bit is held for sure */
    uint64_t bits;         /* the bits to come, the first one highest; below them the same ones as at `next`, or 0 */
    uint32_t state;        /* 63 - how many bits are held | the coefficient that comes next << 8: look-ups are added */
    int32_t block;         /* which of the MCU; -1: between two */
    const uint16_t *skip;
    uint16_t *dc;          /* each component's last one, as libjpeg stores them, in 16 bits */
    uint32_t mcus, left;   /* how many are decoded, and how many more may be */
    uint32_t stop;         /* the bit from which on no MCU is begun */
    uint32_t *starts;      /* at which bit each MCU begins */
    int16_t *dcs;          /* of each block */
    int32_t *sums;         /* of each block of 2 x 2 pixels, without its DC coefficient */
} lane;

typedef struct {           /* what a lane writes, from its first MCU on */
    uint32_t *starts;
    int16_t *dcs;
    int32_t *sums;
} records;

typedef struct {
    uint32_t width, height, channels, interval, blocks, large, across, mcus;
    component components[3];
    uint8_t of[MOST_BLOCKS];     /* the component of each block of an MCU */
    uint8_t larges[MOST_BLOCKS + 1]; /* how many blocks of 2 x 2 pixels follow each other there */
    uint32_t segments, *offsets; /* where each restart interval begins, and behind the last where it ends */
    uint8_t *scan, *lines;
    uint8_t *block;              /* in which all of that lies: memory that was used before costs less */
    size_t room;
    lane lanes[2];
    uint16_t last_dcs[2][3];
    records records[2];
    uint32_t joined;             /* which MCU of the second lane follows the last one of the first */
    uint16_t added[3];           /* and what its DC coefficients lack */
    code codes[8];               /* four for DC, four for AC */
    int quantized[4];
    uint16_t quanta[4][64];
    uint32_t dc[4][1 << VALUE_BITS];
    uint64_t value[4][1 << VALUE_BITS];
    uint16_t skip[4][1 << SKIP_BITS];
} decoder;

static const uint8_t natural[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};

static inline uint32_t be16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

/* The symbol of the code that bits begin with: length | symbol << 8; 0 where that is no code. */
static uint32_t symbol_of(const code *c, uint64_t bits) {
    uint32_t start = (uint32_t)(bits >> 48);
    for (uint32_t length = 1; length <= 16; length++)
        if (start < c->limit[length])
            return length | (uint32_t)c->symbols[(int32_t)(start >> (16 - length)) + c->first[length]] << 8;
    return 0;
}

/* DHT: codes (T.81, C.2), with libjpeg's rules: none is all ones, a DC symbol is at most 15. */
static int read_codes(decoder *d, const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        if (end - at < 17 || (at[0] & ~0x13)) return 0;
        uint32_t is_ac = at[0] >> 4, total = 0, next = 0;
        code *c = d->codes + is_ac * 4 + (at[0] & 3);
        for (uint32_t length = 1; length <= 16; length++) {
            uint32_t count = at[length];
            c->first[length] = (int32_t)total - (int32_t)next;
            total += count;
            next += count;
            if (total > 256 || (count && next >= 1u << length)) return 0;
            c->limit[length] = next << (16 - length);
            next <<= 1;
        }
        if ((uint32_t)(end - at) < 17 + total) return 0;
        for (uint32_t i = 0; i < total; i++)
            if (!is_ac && at[17 + i] > 15) return 0;
        memset(c->symbols, 0, sizeof c->symbols);
        memcpy(c->symbols, at + 17, total);
        c->defined = 1;
        at += 17 + total;
    }
    return 1;
}

/* DQT. libjpeg's quanta are short. */
static int read_quanta(decoder *d, const uint8_t *at, const uint8_t *end) {
    while (at < end) {
        uint32_t wide = at[0] >> 4, which = at[0] & 15;
        if (wide > 1 || which > 3 || end - at < 1 + 64 * (1 + (int)wide)) return 0;
        for (uint32_t i = 0; i < 64; i++) {
            uint32_t quantum = wide ? be16(at + 1 + 2 * i) : at[1 + i];
            if (quantum > INT16_MAX) return 0;
            d->quanta[which][i] = (uint16_t)quantum;
        }
        d->quantized[which] = 1;
        at += 1 + 64 * (1 + wide);
    }
    return 1;
}

static int read_frame(decoder *d, const uint8_t *at, uint32_t length) {
    if (d->blocks || length != 6 + 3 * d->channels || at[0] != 8 || at[5] != d->channels) return 0;
    if (be16(at + 1) != d->height || be16(at + 3) != d->width) return 0;
    for (uint32_t i = 0; i < d->channels; i++) {
        component *c = d->components + i;
        const uint8_t *told = at + 6 + 3 * i;
        c->id = told[0];
        c->h = told[1] >> 4;
        c->v = told[1] & 15;
        c->quantizer = told[2];
        if (!c->h || !c->v || c->h > 4 || c->v > 4 || c->quantizer > 3) return 0;
        for (uint32_t j = 0; j < i; j++)
            if (d->components[j].id == c->id) return 0;
        if (d->channels == 1) c->h = c->v = 1;  /* an MCU is a block then (T.81, A.2.2) */
        for (uint32_t j = 0; j < c->h * c->v; j++) {
            if (d->blocks == MOST_BLOCKS) return 0;
            d->of[d->blocks++] = (uint8_t)i;
        }
    }
    return 1;
}

/* SOS: one scan of all components, in the order of the frame. */
static int read_scan(decoder *d, const uint8_t *at, uint32_t length) {
    if (!d->blocks || length != 4 + 2 * d->channels || at[0] != d->channels) return 0;
    const uint8_t *last = at + 1 + 2 * d->channels;
    if (last[0] != 0 || last[1] != 63 || last[2] != 0) return 0;
    for (uint32_t i = 0; i < d->channels; i++) {
        component *c = d->components + i;
        c->dc = at[2 + 2 * i] >> 4;
        c->ac = at[2 + 2 * i] & 15;
        if (at[1 + 2 * i] != c->id || c->dc > 3 || c->ac > 3) return 0;
        if (!d->codes[c->dc].defined || !d->codes[4 + c->ac].defined || !d->quantized[c->quantizer]) return 0;
    }
    return 1;
}

/* Read up to the scan. Returns where it begins; 0 where this is no file for us. */
static uint64_t read_header(decoder *d, const uint8_t *file, uint64_t size) {
    int jfif = 0, adobe = 0, transform = 0;
    if (size < 2 || file[0] != 0xFF || file[1] != 0xD8) return 0;
    for (uint64_t at = 2; at + 4 <= size && file[at] == 0xFF;) {
        uint32_t marker = file[at + 1], length = be16(file + at + 2) - 2;
        const uint8_t *body = file + at + 4;
        at += 4;
        if (length > 0xFFFF || length > size - at) return 0;
        at += length;
        if (marker == 0xC4) {
            if (!read_codes(d, body, body + length)) return 0;
        } else if (marker == 0xDB) {
            if (!read_quanta(d, body, body + length)) return 0;
        } else if (marker == 0xDD) {
            if (length != 2) return 0;
            d->interval = be16(body);
        } else if (marker == 0xC0 || marker == 0xC1) {
            if (!read_frame(d, body, length)) return 0;
        } else if (marker == 0xE0) {
            jfif |= length >= 14 && !memcmp(body, "JFIF", 5);
        } else if (marker == 0xEE) {
            if (length >= 12 && !memcmp(body, "Adobe", 5)) adobe = 1, transform = body[11];
        } else if (marker == 0xDA) {
            if (!read_scan(d, body, length)) return 0;
            /* That it is YCbCr, as libjpeg finds it out (default_decompress_parms). */
            const component *c = d->components;
            int counted = c[0].id == 1 && c[1].id == 2 && c[2].id == 3;
            return d->channels == 1 || (adobe ? transform == 1 : jfif || counted) ? at : 0;
        } else if (marker != 0xFE && (marker < 0xE0 || marker > 0xEF)) {
            return 0;
        }
    }
    return 0;
}

/* The sizes of blocks and planes, as in libjpeg's jdmaster.c. */
static int lay_out(decoder *d) {
    uint32_t most_h = 1, most_v = 1;
    for (uint32_t i = 0; i < d->channels; i++) {
        if (d->components[i].h > most_h) most_h = d->components[i].h;
        if (d->components[i].v > most_v) most_v = d->components[i].v;
    }
    uint32_t down = (d->height + 8 * most_v - 1) / (8 * most_v);
    d->across = (d->width + 8 * most_h - 1) / (8 * most_h);
    d->mcus = d->across * down;
    d->segments = d->interval ? (d->mcus + d->interval - 1) / d->interval : 1;
    for (uint32_t i = 0; i < d->channels; i++) {
        component *c = d->components + i;
        for (c->size = 1; most_h % (c->h * c->size * 2) == 0 && most_v % (c->v * c->size * 2) == 0;) c->size *= 2;
        if (c->size > 2 || most_h % (c->h * c->size) || most_v % (c->v * c->size)) return 0;
        if (c->size == 2) d->large += c->h * c->v;
        c->expand_h = most_h / (c->h * c->size);
        c->expand_v = most_v / (c->v * c->size);
        c->stride = d->across * c->h * c->size;
        c->rows = down * c->v * c->size;
        for (uint32_t k = 1; k < 64; k++) {  /* jpeg_idct_2x2 */
            static const int32_t by_row[8] = {1 << 15, 29692, 0, -10426, 0, 6967, 0, -5906};
            uint32_t row = natural[k] >> 3, column = natural[k] & 7;
            uint16_t quantum = by_row[row] && by_row[column] ? d->quanta[c->quantizer][k] : 0;
            int32_t factor = by_row[row] * (int32_t)quantum;
            c->weights[k] = (weight){factor, row ? -factor : factor, quantum, (uint16_t)column};
        }
    }
    for (uint32_t b = d->blocks; b--;)
        d->larges[b] = d->components[d->of[b]].size == 2 ? d->larges[b + 1] + 1 : 0;
    return 1;
}

/* The number of `size` bits that bits begin with, as T.81, F.2.2.1 has it (EXTEND). */
static inline int32_t extended(uint64_t bits, uint32_t size) {
    int32_t value = (int32_t)(bits >> 1 >> (63 - size));
    return bits >> 63 ? value : value - (int32_t)((1u << size) - 1);
}

/* The value of a DC symbol, which is its size: bits | value << 16; 0 where the look-up does not tell. */
static void tabulate_dc(const code *c, uint32_t *table) {
    for (uint64_t i = 0; i < 1 << VALUE_BITS; i++) {
        uint64_t bits = i << (64 - VALUE_BITS);
        uint32_t found = symbol_of(c, bits), length = found & 255, size = found >> 8;
        int told = length && length + size <= VALUE_BITS;
        table[i] = told ? (length + size) | (uint32_t)extended(bits << length, size) << 16 : 0;
    }
}

/* Two AC symbols with their values, or one; 0 where the look-up does not tell: bits | advance << 8 | second advance
 * << 16 | whether the block ends then << 24 | value << 32 | second value << 48. */
static void tabulate_values(const code *c, uint64_t *table) {
    for (uint64_t i = 0; i < 1 << VALUE_BITS; i++) {
        uint64_t bits = i << (64 - VALUE_BITS), entry = 0;
        uint32_t at = 0, ends = 0;
        for (int nth = 0; nth < 2 && !ends; nth++) {
            uint32_t found = symbol_of(c, bits << at), length = found & 255, run = found >> 12, size = found >> 8 & 15;
            if (!length || at + length + size > VALUE_BITS) break;
            ends = !size && run != 15;
            entry |= (uint64_t)(uint16_t)extended(bits << at << length, size) << (32 + 16 * nth);
            entry |= ends ? 1 << 24 : (uint64_t)(run + 1) << (8 + 8 * nth);
            at += length + size;
        }
        table[i] = entry | at;
    }
}

/* As many symbols as bits tell: bits | advance << 8, END more where the last one ends the block. */
static void tabulate_skips(const code *c, uint16_t *table) {
    uint16_t one[1 << SKIP_BITS];
    for (uint64_t i = 0; i < 1 << SKIP_BITS; i++) one[i] = (uint16_t)symbol_of(c, i << (64 - SKIP_BITS));
    for (uint32_t i = 0; i < 1 << SKIP_BITS; i++) {
        uint32_t at = 0, advance = 0;
        while (at < SKIP_BITS) {
            uint32_t found = one[i << at & ((1 << SKIP_BITS) - 1)];
            uint32_t length = found & 255, run = found >> 12, size = found >> 8 & 15;
            if (!length || at + length > SKIP_BITS) break;
            if (!size && run != 15) {
                at += length;
                advance |= END;
                break;
            }
            if (advance + run + 1 > 63) break;
            advance += run + 1;
            at += length + size;
        }
        table[i] = (uint16_t)(at ? at | advance << 8 : LONG << 8);
    }
}

static void tabulate(decoder *d) {
    int dc = 0, skip = 0, value = 0;
    for (uint32_t i = 0; i < d->channels; i++) {
        const component *c = d->components + i;
        if (!(dc >> c->dc & 1)) tabulate_dc(d->codes + c->dc, d->dc[c->dc]);
        dc |= 1 << c->dc;
        int *done = c->size == 1 ? &skip : &value;
        if (*done >> c->ac & 1) continue;
        *done |= 1 << c->ac;
        if (c->size == 1) tabulate_skips(d->codes + 4 + c->ac, d->skip[c->ac]);
        else tabulate_values(d->codes + 4 + c->ac, d->value[c->ac]);
    }
}

/* Copy the scan without its stuffing and its restart markers, which must be those that the header tells; EOI must
 * follow. */
static int unstuff(decoder *d, const uint8_t *at, const uint8_t *end) {
    uint32_t segment = 0;
    uint8_t *to = d->scan;
    d->offsets[0] = 0;
    for (;;) {
        const uint8_t *found = memchr(at, 0xFF, (size_t)(end - at));
        if (!found || end - found < 2) return 0;
        memcpy(to, at, (size_t)(found - at));
        to += found - at;
        at = found + 2;
        if (!found[1]) {
            *to++ = 0xFF;
            continue;
        }
        d->offsets[++segment] = (uint32_t)(to - d->scan);
        if (found[1] == 0xD9) break;
        if (segment == d->segments || found[1] != 0xD0 + ((segment - 1) & 7)) return 0;
    }
    memset(to, 0, SPARE);
    return segment == d->segments;
}

/* Hold at least 56 bits. */
INLINE void refill(lane *l) {
    uint64_t eight;
    memcpy(&eight, l->next, 8);
    l->bits |= __builtin_bswap64(eight) >> (~l->state & 63);
    l->next += l->state >> 3 & 31;
    l->state &= ~0xF8u;
}

/* Take what a look-up tells: bits, of less than 64, and coefficients. */
INLINE void take(lane *l, uint32_t entry) {
    l->bits <<= entry & 63;
    l->state += entry;
}

static inline uint32_t position(const decoder *d, const lane *l) {
    return (uint32_t)(l->next - d->scan) * 8 - 63 + (l->state & 255);
}

/* Hold the bits from a place on, but for coefficients as before. */
INLINE void hold(const decoder *d, lane *l, uint32_t bit) {
    l->next = d->scan + (bit >> 3);
    l->bits = 0;
    l->state = (l->state & ~255u) | 63;
    refill(l);
    take(l, bit & 7);
}

/* Let a lane begin an MCU at a bit. */
static void go_to(const decoder *d, lane *l, uint32_t bit) {
    l->state = 0;
    hold(d, l, bit);
    l->block = -1;
    memset(l->dc, 0, 3 * sizeof *l->dc);
    l->starts[l->mcus] = bit;
}

static inline int32_t descaled(int32_t sum, int bits) { return (sum + (1 << (bits - 1))) >> bits; }

/* jpeg_idct_2x2, but for the DC coefficient, which is only added: what it adds has no rounding (see `placed_large`). */
static inline void summed(const int32_t columns[2][8], int32_t sums[4]) {
    for (int y = 0; y < 2; y++) {
        static const int32_t factors[8] = {0, 29692, 0, -10426, 0, 6967, 0, -5906};
        int32_t even = descaled(columns[y][0], 13) * (1 << 15), odd = 0;
        for (int x = 0; x < 8; x++) odd += descaled(columns[y][x], 13) * factors[x];
        sums[2 * y] = even + odd;
        sums[2 * y + 1] = even - odd;
    }
}

/* A value, or 0 where it is one that no sound picture has. */
INLINE int32_t sound(int32_t value, const weight *w, int *beyond) {
    int32_t whole = value * w->quantum;
    if (whole <= MOST_AC && whole >= -MOST_AC) return value;
    *beyond = 1;
    return 0;
}

INLINE void add(int32_t columns[2][8], int32_t value, const weight *w) {
    columns[0][w->column] += value * w->top;
    columns[1][w->column] += value * w->bottom;
}

/* The coefficients of a block of 2 x 2 pixels, two at a time. Returns whether its codes are sound. */
INLINE int read_large(const decoder *d, const component *c, lane *l, int32_t sums[4]) {
    int32_t columns[2][8] = {{0}};
    int beyond = 0;
    for (uint32_t k = 1, ended = 0; !ended && k < 64;) {
        refill(l);
        uint64_t entry = d->value[c->ac][l->bits >> (64 - VALUE_BITS)];
        uint32_t one = k + (entry >> 8 & 127), two = one + (entry >> 16 & 127);
        int32_t value = (int16_t)(entry >> 32), other = (int16_t)(entry >> 48);
        if (entry && two < 64) {
            take(l, entry & 63);
            ended = entry >> 24 & 1;
        } else {  /* a symbol alone */
            uint32_t found = symbol_of(d->codes + 4 + c->ac, l->bits), run = found >> 12, size = found >> 8 & 15;
            if (!found) return 0;
            take(l, found & 255);
            value = extended(l->bits, size);
            other = 0;
            take(l, size);
            if (!size && run != 15) break;
            one = two = k + run + 1;
            if (one > 64) return 0;
        }
        const weight *first = c->weights + one - 1, *second = c->weights + two - 1;
        add(columns, sound(value, first, &beyond), first);
        add(columns, sound(other, second, &beyond), second);
        k = two;
    }
    summed(columns, sums);
    if (beyond) sums[0] = BEYOND;
    return 1;
}

/* The DC coefficient of the block that is come to. Returns whether its code is sound. */
INLINE int read_dc(const decoder *d, const component *c, lane *l) {
    refill(l);
    uint32_t entry = d->dc[c->dc][l->bits >> (64 - VALUE_BITS)], which = d->of[l->block];
    int32_t value = (int32_t)entry >> 16;
    if (entry) {
        take(l, entry & 255);
    } else {
        uint32_t found = symbol_of(d->codes + c->dc, l->bits);
        if (!found) return 0;
        take(l, found & 255);
        value = extended(l->bits, found >> 8);
        take(l, found >> 8);
    }
    *l->dcs++ = (int16_t)(l->dc[which] += (uint16_t)value);
    return 1;
}

/* From the end of a block to the next one whose coefficients are skipped. */
INLINE int next_block(const decoder *d, lane *l) {
    for (;;) {
        const component *c;
        l->block++;
        for (uint32_t left = d->larges[l->block]; left; left--, l->block++, l->sums += 4) {
            c = d->components + d->of[l->block];
            if (!read_dc(d, c, l) || !read_large(d, c, l, l->sums)) return FAULTY;
        }
        if (l->block == (int32_t)d->blocks) {
            uint32_t here = position(d, l);
            l->block = -1;
            l->starts[++l->mcus] = here;
            if (!--l->left || here >= l->stop) return STOPPED;
            continue;
        }
        c = d->components + d->of[l->block];
        if (!read_dc(d, c, l)) return FAULTY;
        l->skip = d->skip[c->ac];
        l->state = (l->state & 255) | 1 << 8;
        return GOES_ON;
    }
}

/* The end of a block, unless the last look-up went beyond it, or told nothing: then a symbol alone. */
INLINE int settle(const decoder *d, lane *l, uint32_t entry) {
    if (l->state < END << 8 || l->state >= (END + 64) << 8) {
        l->state -= entry;
        hold(d, l, position(d, l));
        uint32_t found = symbol_of(d->codes + 4 + d->components[d->of[l->block]].ac, l->bits);
        uint32_t run = found >> 12, size = found >> 8 & 15;
        if (!found) return FAULTY;
        take(l, (found & 255) + size);
        refill(l);
        if (size || run == 15) {
            l->state += (run + 1) << 8;
            if (l->state < 64 << 8) return GOES_ON;
            if (l->state >= 65 << 8) return FAULTY;
        }
    }
    return next_block(d, l);
}

/* Two look-ups, of at most SKIP_BITS + 15 bits each: as many as are held. */
INLINE int step(const decoder *d, lane *l) {
    for (int i = 0; i < 2; i++) {
        uint32_t entry = l->skip[l->bits >> (64 - SKIP_BITS)];
        take(l, entry);
        if (l->state >= 64 << 8) {
            int state = settle(d, l, entry);
            refill(l);
            return state;
        }
    }
    refill(l);
    return GOES_ON;
}

/* Start where a lane stopped, or go on where it was interrupted. */
INLINE int resume(const decoder *d, lane *l) {
    int state = l->block < 0 ? next_block(d, l) : GOES_ON;
    refill(l);
    return state;
}

static int run_one(const decoder *d, lane *to) {
    lane l = *to;
    int state = resume(d, &l);
    while (state == GOES_ON) state = step(d, &l);
    *to = l;
    return state;
}

/* Run both lanes until one stops, or both: what became of the one, and four times what became of the other. */
static int run_two(const decoder *d, lane *to, lane *other) {
    lane a = *to, b = *other;
    int one = resume(d, &a), two = resume(d, &b);
    while (!(one | two)) {
        one = step(d, &a);
        two = step(d, &b);
    }
    *to = a;
    *other = b;
    return one | two << 2;
}

/* Forget what a lane decoded, and let it begin at a bit. */
static void start_over(decoder *d, lane *l, const records *r, uint32_t bit) {
    l->mcus = 0;
    l->left = d->mcus;
    l->starts = r->starts;
    l->dcs = r->dcs;
    l->sums = r->sums;
    l->dc = l == d->lanes ? d->last_dcs[0] : d->last_dcs[1];
    go_to(d, l, bit);
}

/* Whether an MCU that begins there would be the first of which not a byte is left. */
static int is_end(uint32_t bit, uint32_t end) { return bit <= end && end - bit < 8; }

static void begin_segment(const decoder *d, lane *l, uint32_t segment) {
    uint32_t before = segment * d->interval;
    l->left = d->mcus - before < d->interval ? d->mcus - before : d->interval;
    l->stop = d->offsets[segment + 1] * 8;
    go_to(d, l, d->offsets[segment] * 8);
}

/* With restart intervals: one half of them in each lane. */
static int decode_segments(decoder *d) {
    uint32_t at[2] = {0, d->segments / 2}, behind[2] = {d->segments / 2, d->segments};
    lane *lanes = d->lanes;
    for (int i = 0; i < 2; i++) {
        start_over(d, lanes + i, d->records + i, 0);
        begin_segment(d, lanes + i, at[i]);
    }
    while (at[0] < behind[0] || at[1] < behind[1]) {
        int states = at[0] == behind[0]   ? run_one(d, lanes + 1) << 2
                     : at[1] == behind[1] ? run_one(d, lanes)
                                          : run_two(d, lanes, lanes + 1);
        for (int i = 0; i < 2; i++, states >>= 2) {
            lane *l = lanes + i;
            if ((states & 3) == GOES_ON) continue;
            if ((states & 3) == FAULTY || l->left || !is_end(l->starts[l->mcus], l->stop)) return 0;
            if (++at[i] < behind[i]) begin_segment(d, l, at[i]);
        }
    }
    d->joined = 0;
    memset(d->added, 0, sizeof d->added);
    return 1;
}

/* Without: the second lane begins in the middle, and its MCUs count from the first one on that both have found. */
static int decode_stretch(decoder *d) {
    lane *a = d->lanes, *b = a + 1;
    uint32_t end = d->offsets[1] * 8, met = 0;
    start_over(d, a, d->records, 0);
    start_over(d, b, d->records + 1, end / 2);
    a->stop = end / 2;
    b->stop = end < 8 ? 0 : end - 7;
    for (int states = 0, over = b->stop <= end / 2; !(states & 3);) {
        states = over ? run_one(d, a) : run_two(d, a, b);
        if ((states & 3) == FAULTY) return 0;
        if (states >> 2 == FAULTY) {
            over = position(d, b) + 1 >= b->stop;
            start_over(d, b, d->records + 1, over ? end : position(d, b) + 1);
        } else {
            over |= states >> 2;
        }
    }
    while (a->left) {
        uint32_t here = a->starts[a->mcus];
        while (met <= b->mcus && b->starts[met] < here) met++;
        if (met <= b->mcus && b->starts[met] == here && met + a->left <= d->mcus) break;
        if (met <= b->mcus && b->starts[met] == here) met++;  /* there is no room for so many */
        a->stop = met <= b->mcus ? b->starts[met] : end;
        if (run_one(d, a) == FAULTY || (a->left && a->starts[a->mcus] >= end)) return 0;
    }
    d->joined = met;
    if (!a->left) {
        b->mcus = met;
        return is_end(a->starts[a->mcus], end);
    }
    if (b->mcus - met > a->left) return 0;
    b->left = met + a->left - b->mcus;
    b->stop = end;
    for (uint32_t i = 0; i < d->blocks; i++) {
        uint32_t which = d->of[i];  /* of each component, the last block holds */
        d->added[which] = (uint16_t)(a->dc[which] - (met ? d->records[1].dcs[(met - 1) * d->blocks + i] : 0));
    }
    while (b->left)
        if (run_one(d, b) == FAULTY || (b->left && b->starts[b->mcus] >= end)) return 0;
    return is_end(b->starts[b->mcus], end);
}

static inline uint8_t limited(int32_t value) { return (uint8_t)(value < -128 ? 0 : value > 127 ? 255 : value + 128); }

/* jpeg_idct_1x1. Its table of limits has 1024 entries. */
static inline uint8_t placed_small(int32_t dc) { return limited((int32_t)((uint32_t)descaled(dc, 3) << 22) >> 22); }

/* jpeg_idct_2x2. Returns whether libjpeg's SIMD code, which has 16 bits for some values, is sure to give the same. */
static inline int placed_large(int32_t dc, const int32_t sums[4], uint8_t *to, uint32_t stride) {
    if (dc > MOST_DC || dc < -MOST_DC || sums[0] == BEYOND) return 0;
    int beyond = 0;
    uint8_t made[4];
    for (int i = 0; i < 4; i++) {
        int32_t value = descaled(dc * (1 << 17) + sums[i], 20);
        beyond |= value < -512 || value > 511;
        made[i] = limited(value);
    }
    memcpy(to, made, 2);
    memcpy(to + stride, made + 2, 2);
    return !beyond;
}

/* Put MCUs that were recorded from `first` on to their places, as many as `count`, in order from the MCU `at` on. */
static int place(const decoder *d, const records *r, uint32_t first, uint32_t at, uint32_t count,
                 const uint16_t added[3]) {
    const int16_t *dcs = r->dcs + (size_t)first * d->blocks;
    const int32_t *sums = r->sums + (size_t)first * d->large * 4;
    for (uint32_t run; count; count -= run, at += run) {
        uint32_t row = at / d->across, from = at % d->across, large = 0;
        run = d->across - from < count ? d->across - from : count;
        for (uint32_t b = 0, nth = 0; b < d->blocks; b++) {
            const component *c = d->components + d->of[b];
            int32_t quantum = d->quanta[c->quantizer][0], more = added[d->of[b]];
            nth = b && d->of[b] == d->of[b - 1] ? nth + 1 : 0;
            size_t line = ((size_t)row * c->v + nth / c->h) * c->size;
            uint8_t *to = c->plane + line * c->stride + (from * c->h + nth % c->h) * c->size;
            const int16_t *dc = dcs + b;
            if (c->size == 1) {
                for (uint32_t x = 0; x < run; x++, dc += d->blocks, to += c->h)
                    *to = placed_small((int16_t)(*dc + more) * quantum);
                continue;
            }
            const int32_t *sum = sums + 4 * large++;
            for (uint32_t x = 0; x < run; x++, dc += d->blocks, to += c->h * 2, sum += d->large * 4)
                if (!placed_large((int16_t)(*dc + more) * quantum, sum, to, c->stride)) return 0;
        }
        dcs += (size_t)run * d->blocks;
        sums += (size_t)run * d->large * 4;
    }
    return 1;
}

/* A line of a component, as wide as the picture: every pixel as often as libjpeg repeats it. */
static const uint8_t *widened(const component *c, uint32_t y, uint32_t width, uint8_t *to) {
    const uint8_t *line = c->plane + (size_t)(y / c->expand_v) * c->stride;
    if (c->expand_h == 1) return line;
    for (uint32_t x = 0; x < width; x++) to[x] = line[x / c->expand_h];
    return to;
}

static inline uint32_t byte_of(int32_t value) { return (uint32_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

/* libjpeg's jdcolor.c: its tables are these products. */
static void color(const uint8_t *ys, const uint8_t *cbs, const uint8_t *crs, uint32_t width, uint8_t *to) {
    for (uint32_t x = 0; x < width; x++) {
        int32_t y = ys[x], cb = cbs[x] - 128, cr = crs[x] - 128;
        uint32_t red = byte_of(y + ((91881 * cr + 32768) >> 16));
        uint32_t green = byte_of(y + ((-22554 * cb - 46802 * cr + 32768) >> 16));
        uint32_t blue = byte_of(y + ((116130 * cb + 32768) >> 16));
        uint32_t pixel = red | green << 8 | blue << 16 | 0xFF000000;
        memcpy(to + 4 * (size_t)x, &pixel, 4);
    }
}

static void write_pixels(const decoder *d, uint8_t *to) {
    uint32_t width = (d->width + 7) / 8, height = (d->height + 7) / 8;
    if (d->channels == 1) {
        for (uint32_t y = 0; y < height; y++)
            memcpy(to + (size_t)y * width, d->components[0].plane + (size_t)y * d->components[0].stride, width);
        return;
    }
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *line[3];
        for (uint32_t i = 0; i < 3; i++) line[i] = widened(d->components + i, y, width, d->lines + (size_t)i * width);
        color(line[0], line[1], line[2], width, to + (size_t)y * width * 4);
    }
}

/* The next `size` bytes of a block; NULL where there is none: then it is only added up. */
static void *cut(uint8_t *block, size_t *used, size_t size) {
    uint8_t *at = block ? block + *used : NULL;
    *used += (size + 63) & ~(size_t)63;
    return at;
}

/* Give everything its place in a block. Returns how many bytes they take. */
static size_t assign(decoder *d, uint8_t *block, size_t scan) {
    size_t used = 0;
    d->scan = cut(block, &used, scan + SPARE);
    d->offsets = cut(block, &used, ((size_t)d->segments + 1) * sizeof *d->offsets);
    d->lines = cut(block, &used, (size_t)d->width * 3);
    for (uint32_t i = 0; i < d->channels; i++) {
        component *c = d->components + i;
        c->plane = cut(block, &used, (size_t)c->stride * c->rows);
    }
    for (records *r = d->records; r < d->records + 2; r++) {
        r->starts = cut(block, &used, ((size_t)d->mcus + 1) * sizeof *r->starts);
        r->dcs = cut(block, &used, (size_t)d->mcus * d->blocks * sizeof *r->dcs);
        r->sums = cut(block, &used, (size_t)d->mcus * d->large * 4 * sizeof *r->sums);
    }
    return used;
}

static int allocate(decoder *d, size_t scan) {
    size_t needed = assign(d, NULL, scan);
    if (needed > d->room) {
        free(d->block);
        d->block = malloc(needed);
        d->room = d->block ? needed : 0;
    }
    if (d->block) assign(d, d->block, scan);
    return d->block != NULL;
}

static int decode(decoder *d, const uint8_t *file, uint64_t size, uint8_t *pixels) {
    uint64_t scan = read_header(d, file, size);
    if (!scan || !lay_out(d) || !allocate(d, size - scan) || !unstuff(d, file + scan, file + size)) return 0;
    static const uint16_t nothing[3];
    tabulate(d);
    if (!(d->segments > 1 ? decode_segments(d) : decode_stretch(d))) return 0;
    uint32_t in_first = d->lanes[0].mcus, in_second = d->lanes[1].mcus - d->joined;
    if (!place(d, d->records, 0, 0, in_first, nothing)) return 0;
    if (!place(d, d->records + 1, d->joined, in_first, in_second, d->added)) return 0;
    write_pixels(d, pixels);
    return 1;
}

/* A new decoder, for one picture after the other; NULL where memory is short. */
decoder *jpeg_new(void) { return calloc(1, sizeof(decoder)); }

void jpeg_free(decoder *d) {
    if (!d) return;
    free(d->block);
    free(d);
}

/* Decode a JPEG of which Pillow told the width, the height and the number of channels: 1 or 3.
 *
 * `pixels` has room for an eighth of the width and of the height, rounded up: for 1 byte a pixel of gray, or 4: red,
 * green, blue, 255.
 * Returns 1; or 0 where this is not a file for this decoder, or memory is short. */
int jpeg_eighth(decoder *d, const uint8_t *file, uint64_t size, uint32_t width, uint32_t height, uint32_t channels,
                uint8_t *pixels) {
    if (!width || !height || width > 65500 || height > 65500 || (channels != 1 && channels != 3)) return 0;
    if (size > 1 << 28) return 0;
    uint8_t *block = d->block;
    size_t room = d->room;
    memset(d, 0, sizeof *d);
    d->block = block;
    d->room = room;
    d->width = width;
    d->height = height;
    d->channels = channels;
    int done = decode(d, file, size, pixels);
    if (d->room > KEPT) {
        free(d->block);
        d->block = NULL;
        d->room = 0;
    }
    return done;
}
