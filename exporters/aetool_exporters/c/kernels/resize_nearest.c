struct resize_nearest {
    const int32_t *from_y, *from_x; /* row and column of the input for each of the output */
    int32_t batch, height, width, depth, out_height, out_width;
};

static void resize_nearest(const int8_t *input, int8_t *output, const struct resize_nearest *p) {
    for (int32_t b = 0; b < p->batch; ++b, input += p->height * p->width * p->depth)
        for (int32_t y = 0; y < p->out_height; ++y)
            for (int32_t x = 0; x < p->out_width; ++x) {
                const int8_t *values = input + (p->from_y[y] * p->width + p->from_x[x]) * p->depth;
                for (int32_t c = 0; c < p->depth; ++c) *output++ = values[c];
            }
}
