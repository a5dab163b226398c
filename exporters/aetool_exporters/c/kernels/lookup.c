/* May work in place. */
struct lookup {
    const int8_t *table; /* of -128 ... 127 */
    int32_t count;
};

static void lookup(const int8_t *input, int8_t *output, const struct lookup *p) {
    for (int32_t i = 0; i < p->count; ++i) output[i] = p->table[input[i] + 128];
}
