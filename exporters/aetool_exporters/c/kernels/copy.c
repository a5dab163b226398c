struct copy {
    int32_t count;
};

static void copy(const int8_t *input, int8_t *output, const struct copy *p) {
    for (int32_t i = 0; i < p->count; ++i) output[i] = input[i];
}
