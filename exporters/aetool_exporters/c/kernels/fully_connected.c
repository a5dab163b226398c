/* The bias holds what the input's zero point adds. */
struct fully_connected {
    const int8_t *weights; /* [outputs][inputs] */
    const int32_t *bias;
    int32_t rows, inputs, outputs;
    struct target target;
};

static void fully_connected(const int8_t *input, int8_t *output, const struct fully_connected *p) {
    for (int32_t row = 0; row < p->rows; ++row, input += p->inputs) {
        const int8_t *weights = p->weights;
        for (int32_t o = 0; o < p->outputs; ++o) {
            int32_t sum = p->bias[o];
            for (int32_t i = 0; i < p->inputs; ++i) sum += input[i] * *weights++;
            *output++ = finished(sum, o, &p->target);
        }
    }
}
