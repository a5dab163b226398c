/* Each output value gathers what reaches it, so that no wide sums have to be kept. */
struct transpose_conv {
    const int8_t *weights; /* [channels][kernel_height][kernel_width][depth] */
    const int32_t *bias;
    int32_t batch, height, width, depth; /* of the input */
    int32_t out_height, out_width, channels;
    int32_t kernel_height, kernel_width, stride_y, stride_x, pad_y, pad_x, zero_point;
    struct target target;
};

static void transpose_conv(const int8_t *input, int8_t *output, const struct transpose_conv *p) {
    for (int32_t b = 0; b < p->batch; ++b, input += p->height * p->width * p->depth)
        for (int32_t y = 0; y < p->out_height; ++y)
            for (int32_t x = 0; x < p->out_width; ++x)
                for (int32_t c = 0; c < p->channels; ++c) {
                    int32_t sum = p->bias[c];
                    for (int32_t k = (y + p->pad_y) % p->stride_y; k < p->kernel_height; k += p->stride_y) {
                        const int32_t from_y = (y + p->pad_y - k) / p->stride_y;
                        if (y + p->pad_y < k || from_y >= p->height) continue;
                        for (int32_t l = (x + p->pad_x) % p->stride_x; l < p->kernel_width; l += p->stride_x) {
                            const int32_t from_x = (x + p->pad_x - l) / p->stride_x;
                            if (x + p->pad_x < l || from_x >= p->width) continue;
                            sum += dot(input + (from_y * p->width + from_x) * p->depth,
                                       p->weights + ((c * p->kernel_height + k) * p->kernel_width + l) * p->depth,
                                       p->depth, p->zero_point);
                        }
                    }
                    *output++ = finished(sum, c, &p->target);
                }
}
