/* One of the tensors that are joined: `rows` runs of `count` values, which come `stride` apart from `start` on. */
struct part {
    int32_t rows, count, stride, start;
};

static void part(const int8_t *input, int8_t *output, const struct part *p) {
    output += p->start;
    for (int32_t row = 0; row < p->rows; ++row, output += p->stride)
        for (int32_t i = 0; i < p->count; ++i) output[i] = *input++;
}
