struct conv_2d {
    const int8_t *weights; /* [channels][kernel_height][kernel_width][depth] */
    const int32_t *bias;
    int32_t batch, height, width, depth; /* of the input */
    int32_t out_height, out_width, channels;
    int32_t kernel_height, kernel_width, stride_y, stride_x, pad_y, pad_x, zero_point;
    struct target target;
};

static void conv_2d(const int8_t *input, int8_t *output, const struct conv_2d *p) {
    const int32_t row = p->width * p->depth, kernel_row = p->kernel_width * p->depth;
    for (int32_t b = 0; b < p->batch; ++b, input += p->height * row)
        for (int32_t y = 0; y < p->out_height; ++y) {
            const int32_t top = y * p->stride_y - p->pad_y;
            const struct window wy = window(top, p->kernel_height, 1, p->height);
            for (int32_t x = 0; x < p->out_width; ++x) {
                const int32_t left = x * p->stride_x - p->pad_x;
                const struct window wx = window(left, p->kernel_width, 1, p->width);
                const int32_t run = (wx.end - wx.first) * p->depth;
                const int8_t *weights = p->weights + wx.first * p->depth;
                for (int32_t c = 0; c < p->channels; ++c, weights += p->kernel_height * kernel_row) {
                    int32_t sum = p->bias[c];
                    for (int32_t k = wy.first; k < wy.end; ++k)
                        sum += dot(input + (top + k) * row + (left + wx.first) * p->depth, weights + k * kernel_row,
                                   run, p->zero_point);
                    *output++ = finished(sum, c, &p->target);
                }
            }
        }
}
