/* A table of words and their counts: the inner loop of word-count. compiled_words.py calls it.
 *
 * A token is a run of ASCII letters, digits and bytes from 0x80 on, its ASCII letters in lower case. Of the other
 * separators those with a usual first byte separate here; what is left in a token is Python's to find, once per
 * distinct token: each has a kind. A token is checked to be UTF-8 when it is new: one that is known has been checked.
 *
 * Bounds: `lower` is SPARE bytes longer than the text, so that 16 bytes can be read from each byte of it; a step fills
 * at most STEP marks and STEP + 2 edges; a word lies whole in its row, or whole in `arena`.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "marks are gathered, and words masked, low byte first");

enum { STEP = 1 << 14, SPARE = 16, QUEUE = 32, LETTER = 1, PERHAPS = 2 };
enum { WORD = 0, CAPITALS = 1, MIXED = 2, NOT_TEXT = -1, NO_MEMORY = -2, NOT_LINES = -3 };

typedef struct {
    uint64_t head[2];  /* the first 16 bytes; zeros behind a shorter word */
    uint64_t count;    /* 0: an empty row */
    uint32_t length;
    uint32_t kind : 2, place : 30;  /* a word of more than 16 bytes lies whole in the arena, at 16 times its place */
} row;

typedef struct {  /* a word on its way into the table, while its row is fetched from memory */
    const uint8_t *word;
    uint64_t times, hash;
    uint32_t length;
} queued;

typedef struct {
    row *rows;
    uint64_t room, used, read;  /* rows there are, a power of two; rows in use; tokens counted by count_text */
    uint8_t *arena, *lower;
    uint64_t arena_room, arena_used, lower_room;
    row **order;
    uint64_t ordered;
    const uint8_t *letters, *small;  /* a bit for each code point below 0x20000: part of a word? its own lower case? */
    uint64_t seeds[2];
    uint8_t marks[STEP + 64];
    uint32_t edges[STEP + 3];
    uint32_t waiting;
    queued queue[QUEUE];
} table;

static const uint8_t keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

static inline void load(uint64_t head[2], const uint8_t *word, uint32_t length) {  /* of at most 16 bytes */
    uint64_t mask[2];
    memcpy(mask, keep + 16 - length, 16);
    memcpy(head, word, 16);
    head[0] &= mask[0];
    head[1] &= mask[1];
}

static inline uint64_t mixed(uint64_t a, uint64_t b) {
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(const table *t, const uint64_t head[2], const uint8_t *word, uint32_t length) {
    uint64_t hash = mixed(head[0] ^ t->seeds[0], head[1] ^ t->seeds[1]);
    for (uint32_t at = 16; at < length; at += 16) {
        uint64_t piece[2];
        load(piece, word + at, length - at < 16 ? length - at : 16);
        hash = mixed(piece[0] ^ hash, piece[1] ^ t->seeds[1]);
    }
    return hash;
}

static inline const uint8_t *word_of(const table *t, const row *r) {
    return r->length > 16 ? t->arena + 16 * (uint64_t)r->place : (const uint8_t *)r->head;
}

/* Move the words of some kinds (bit 1 << kind) to as many rows as there is `room` for, and drop the others. */
static int move(table *t, uint64_t room, int kinds) {
    row *rows = calloc(room, sizeof *rows);
    if (!rows) return NO_MEMORY;
    t->used = 0;
    for (uint64_t i = 0; i < t->room; i++) {
        row *r = t->rows + i;
        if (!r->count || !(kinds >> r->kind & 1)) continue;
        uint64_t at = hash_of(t, r->head, word_of(t, r), r->length) & (room - 1);
        while (rows[at].count) at = (at + 1) & (room - 1);
        rows[at] = *r;
        t->used++;
    }
    free(t->rows);
    t->rows = rows;
    t->room = room;
    return 0;
}

/* The code point that begins at a byte, and its length in bytes; length 0 where that is no UTF-8 (RFC 3629). */
static inline uint32_t code_at(const uint8_t *text, uint64_t left, uint32_t *length) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = text[0], size = code < 0x80 ? 1 : code < 0xC2 ? 0 : code < 0xE0 ? 2 : code < 0xF0 ? 3 : 4;
    *length = 0;
    if (!size || size > left || code > 0xF4) return 0;
    if (size > 1) code &= 0x7F >> size;
    for (uint32_t i = 1; i < size; i++) {
        if ((text[i] & 0xC0) != 0x80) return 0;
        code = code << 6 | (text[i] & 0x3F);
    }
    if (code < least[size] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0;
    *length = size;
    return code;
}

static inline int is_in(const uint8_t *set, uint32_t code) { return code < 0x20000 && (set[code >> 3] >> (code & 7) & 1); }

static int kind_of(const table *t, const uint8_t *word, uint32_t length) {
    int kind = WORD;
    for (uint32_t at = 0, size; at < length; at += size) {
        uint32_t code = code_at(word + at, length - at, &size);
        if (!size) return NOT_TEXT;
        if (!is_in(t->letters, code)) kind = MIXED;
        else if (kind == WORD && !is_in(t->small, code)) kind = CAPITALS;
    }
    return kind;
}

static int insert(table *t, row *r, const queued *q, const uint64_t head[2], int checked);

/* Count a queued word. `checked`: it need not be looked at. */
static inline int count(table *t, const queued *q, int checked) {
    uint64_t head[2];
    load(head, q->word, q->length < 16 ? q->length : 16);
    uint64_t at = q->hash & (t->room - 1);
    for (row *r; (r = t->rows + at)->count; at = (at + 1) & (t->room - 1))
        if (r->head[0] == head[0] && r->head[1] == head[1] && r->length == q->length &&
            (q->length <= 16 || !memcmp(word_of(t, r), q->word, q->length))) {
            r->count += q->times;
            return 0;
        }
    return insert(t, t->rows + at, q, head, checked);
}

/* Count all queued words: first what lies outside of their rows is fetched as well. */
static int settle(table *t, int checked) {
    for (uint32_t i = 0; i < t->waiting; i++) {
        const row *r = t->rows + (t->queue[i].hash & (t->room - 1));
        if (t->queue[i].length > 16 && r->length > 16) __builtin_prefetch(word_of(t, r));
    }
    int fault = 0;
    for (uint32_t i = 0; i < t->waiting && !fault; i++) fault = count(t, t->queue + i, checked);
    t->waiting = 0;
    return fault;
}

/* Count a word `times` more, once the queue is settled. The 16 bytes from each of its bytes on can be read. */
static inline int enqueue(table *t, const uint8_t *word, uint32_t length, uint64_t times, int checked) {
    uint64_t head[2];
    load(head, word, length < 16 ? length : 16);
    uint64_t hash = hash_of(t, head, word, length);
    __builtin_prefetch(t->rows + (hash & (t->room - 1)), 1);
    t->queue[t->waiting++] = (queued){word, times, hash, length};
    return t->waiting == QUEUE ? settle(t, checked) : 0;
}

static int insert(table *t, row *r, const queued *q, const uint64_t head[2], int checked) {
    const uint8_t *word = q->word;
    uint32_t length = q->length;
    int kind = checked ? WORD : kind_of(t, word, length);
    if (kind < 0) return kind;
    row new = {{head[0], head[1]}, q->times, length, (uint32_t)kind, 0};
    if (length > 16) {
        uint64_t size = (length + 15) / 16 * 16;
        if (t->arena_used + size > t->arena_room) {
            uint64_t room = t->arena_room * 2 + size + (1 << 12);
            uint8_t *arena = room < 1ULL << 34 ? realloc(t->arena, room) : NULL;
            if (!arena) return NO_MEMORY;
            t->arena = arena;
            t->arena_room = room;
        }
        memcpy(t->arena + t->arena_used, word, length);
        memset(t->arena + t->arena_used + length, 0, size - length);
        new.place = (uint32_t)(t->arena_used / 16);
        t->arena_used += size;
    }
    *r = new;
    return ++t->used * 2 > t->room ? move(t, t->room * 2, 7) : 0;
}

/* Put a step of text in lower case, mark its letters; return whether all of it is ASCII. */
static int mark(uint8_t *restrict lower, uint8_t *restrict marks, const uint8_t *restrict text, uint32_t size) {
    uint8_t high = 0;
    for (uint32_t i = 0; i < size; i++) {
        uint8_t byte = text[i], upper = (uint8_t)(byte - 'A') < 26;
        byte |= (uint8_t)(upper << 5);
        high |= byte;
        lower[i] = byte;
        marks[i] = ((uint8_t)(byte - 'a') < 26) | ((uint8_t)(byte - '0') < 10) | byte >> 7;
    }
    return high < 0x80;
}

/* The first bytes of most separators: « and no-break space, ’ and —, 、, ， and emoji. */
static void mark_perhaps(uint8_t *restrict marks, const uint8_t *restrict text, uint32_t size) {
    for (uint32_t i = 0; i < size; i++) {
        uint8_t b = text[i], perhaps = (b == 0xC2) | (b == 0xE2) | (b == 0xE3) | (b == 0xEF) | (b == 0xF0);
        marks[i] |= (uint8_t)(perhaps * PERHAPS);
    }
}

/* The bits `which` of 64 marks as one number. */
static inline uint64_t gathered(const uint8_t *marks, int which) {
    uint64_t bits = 0, eight;
    for (int i = 0; i < 8; i++) {
        memcpy(&eight, marks + 8 * i, 8);
        bits |= ((eight >> which & 0x0101010101010101) * 0x0102040810204080 >> 56) << 8 * i;
    }
    return bits;
}

static void cut_at_separators(const table *t, uint8_t *marks, const uint8_t *text, uint32_t size) {
    for (uint32_t from = 0; from < size; from += 64)
        for (uint64_t bits = gathered(marks + from, 1); bits; bits &= bits - 1) {
            uint32_t at = from + (uint32_t)__builtin_ctzll(bits), length;
            uint32_t code = code_at(text + at, size - at, &length);
            if (length && code < 0x20000 && !is_in(t->letters, code)) memset(marks + at, 0, length);
        }
}

/* A new table; NULL where memory is short. The two sets of code points must outlive it. */
table *words_new(const uint8_t *letters, const uint8_t *small, uint64_t seed, uint64_t other_seed) {
    table *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->letters = letters;
    t->small = small;
    t->seeds[0] = seed;
    t->seeds[1] = other_seed;
    t->room = 1 << 10;
    t->rows = calloc(t->room, sizeof *t->rows);
    if (t->rows) return t;
    free(t);
    return NULL;
}

void words_free(table *t) {
    if (!t) return;
    free(t->rows);
    free(t->arena);
    free(t->lower);
    free(t->order);
    free(t);
}

/* Forget all words. */
void words_clear(table *t) {
    memset(t->rows, 0, t->room * sizeof *t->rows);
    t->used = t->read = t->arena_used = t->ordered = t->waiting = 0;
}

/* Keep the words of some kinds (bit 1 << kind). Returns 0 or NO_MEMORY. */
int words_keep(table *t, int kinds) {
    t->ordered = 0;
    return move(t, t->room, kinds);
}

uint64_t words_held(const table *t) { return t->used; }

uint64_t words_bytes(const table *t) { return t->used * 2 * sizeof *t->rows + t->arena_used; }

/* How many tokens words_count_text has counted. */
uint64_t words_read(const table *t) { return t->read; }

uint64_t words_sum(const table *t) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < t->room; i++) sum += t->rows[i].count;
    return sum;
}

/* Count the tokens of a text, the one that its end may cut excepted unless it is the `last`.
 * Returns up to where it counted; or NOT_TEXT, where the table is of no use any more, or NO_MEMORY. */
int64_t words_count_text(table *t, const uint8_t *text, uint64_t size, int last) {
    t->waiting = 0;
    if (size > 1 << 30 || memchr(text, 0, size)) return NOT_TEXT;
    if (size + SPARE > t->lower_room) {
        free(t->lower);
        t->lower = malloc(size + SPARE);
        t->lower_room = t->lower ? size + SPARE : 0;
        if (!t->lower) return NO_MEMORY;
    }
    memset(t->lower + size, 0, SPARE);
    uint32_t edges = 0;      /* starts and ends of tokens in turn; of an odd number the last has no end yet */
    uint64_t inside = 0;     /* whether the last byte was part of a token */
    for (uint64_t from = 0, step; from < size; from += step) {
        step = size - from < STEP ? size - from : STEP;
        for (int i = 0; i < 3 && from + step < size && (text[from + step] & 0xC0) == 0x80; i++) step--;
        if (!mark(t->lower + from, t->marks, text + from, (uint32_t)step)) {
            mark_perhaps(t->marks, text + from, (uint32_t)step);
            memset(t->marks + step, 0, 64);
            cut_at_separators(t, t->marks, text + from, (uint32_t)step);
        }
        for (uint32_t at = 0; at < step; at += 64) {
            uint64_t letters = gathered(t->marks + at, 0);
            uint64_t changes = letters ^ (letters << 1 | inside);
            inside = letters >> 63;
            if (step - at < 64) {
                changes &= (1ULL << (step - at)) - 1;
                inside = t->marks[step - 1] & LETTER;
            }
            for (; changes; changes &= changes - 1)
                t->edges[edges++] = (uint32_t)(from + at) + (uint32_t)__builtin_ctzll(changes);
        }
        if (last && inside && from + step == size) t->edges[edges++] = (uint32_t)size;
        for (uint32_t i = 0; i + 1 < edges; i += 2) {
            int fault = enqueue(t, t->lower + t->edges[i], t->edges[i + 1] - t->edges[i], 1, 0);
            if (fault) return fault;
        }
        t->read += edges / 2;
        t->edges[0] = t->edges[edges - (edges & 1)];
        edges &= 1;
    }
    int fault = settle(t, 0);
    return fault ? fault : edges ? t->edges[0] : (int64_t)size;
}

/* Add whole lines "word<TAB>count\n"; SPARE bytes behind them can be read. Returns the sum of the counts,
 * NOT_LINES where a line is none, or NO_MEMORY. */
int64_t words_add_lines(table *t, const uint8_t *lines, uint64_t size) {
    uint64_t sum = 0;
    t->waiting = 0;
    for (uint64_t at = 0; at < size;) {
        const uint8_t *word = lines + at, *tab = memchr(word, '\t', size - at);
        if (!tab || tab == word || tab - word > 1 << 30 || memchr(word, '\n', (size_t)(tab - word))) return NOT_LINES;
        uint64_t number = 0;
        const uint8_t *digit = tab + 1, *end = lines + size;
        for (; digit < end && *digit >= '0' && *digit <= '9' && digit - tab < 19; digit++)
            number = number * 10 + *digit - '0';
        if (digit == tab + 1 || digit == end || *digit != '\n' || !number) return NOT_LINES;
        int fault = enqueue(t, word, (uint32_t)(tab - word), number, 1);
        if (fault) return fault;
        sum += number;
        at = (uint64_t)(digit + 1 - lines);
    }
    int fault = settle(t, 1);
    return fault ? fault : (int64_t)sum;
}

static _Thread_local const table *sorted;

static int by_word(const void *left, const void *right) {
    const row *a = *(row *const *)left, *b = *(row *const *)right;
    for (int i = 0; i < 2; i++)
        if (a->head[i] != b->head[i]) return __builtin_bswap64(a->head[i]) < __builtin_bswap64(b->head[i]) ? -1 : 1;
    uint32_t both = a->length < b->length ? a->length : b->length;
    int order = both > 16 ? memcmp(word_of(sorted, a), word_of(sorted, b), both) : 0;
    return order ? order : a->length < b->length ? -1 : a->length > b->length;
}

static int by_count(const void *left, const void *right) {
    const row *a = *(row *const *)left, *b = *(row *const *)right;
    return a->count != b->count ? (a->count > b->count ? -1 : 1) : by_word(left, right);
}

/* Put the rows of some kinds (bit 1 << kind) in order: 0 for none, 1 by word, 2 by count. Holds until the table
 * changes. Returns how many there are, or NO_MEMORY. */
int64_t words_order(table *t, int kinds, int order) {
    row **rows = realloc(t->order, (t->used + 1) * sizeof *rows);
    if (!rows) return NO_MEMORY;
    t->order = rows;
    t->ordered = 0;
    for (uint64_t i = 0; i < t->room; i++)
        if (t->rows[i].count && kinds >> t->rows[i].kind & 1) rows[t->ordered++] = t->rows + i;
    sorted = t;
    if (order) qsort(rows, t->ordered, sizeof *rows, order == 1 ? by_word : by_count);
    return (int64_t)t->ordered;
}

/* Write lines "word, separator, count, line feed" from a place in that order on, as many as there is room for.
 * Returns how many bytes they take; `*next` becomes the place behind them. One that has no room at all: its size. */
uint64_t words_write(const table *t, uint64_t *next, uint8_t separator, uint8_t *out, uint64_t room) {
    uint64_t at = 0;
    for (; *next < t->ordered; ++*next) {
        const row *r = t->order[*next];
        uint64_t size = (uint64_t)r->length + 22;
        if (room - at < size) return at ? at : size;
        memcpy(out + at, word_of(t, r), r->length);
        at += r->length;
        out[at++] = separator;
        uint8_t digits[20];
        int first = 20;
        for (uint64_t left = r->count; left; left /= 10) digits[--first] = (uint8_t)('0' + left % 10);
        memcpy(out + at, digits + first, (size_t)(20 - first));
        at += (uint64_t)(20 - first);
        out[at++] = '\n';
    }
    return at;
}
