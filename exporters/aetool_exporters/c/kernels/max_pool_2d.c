struct max_pool_2d {
    int32_t batch, height, width, depth; /* of the input */
    int32_t out_height, out_width, kernel_height, kernel_width, stride_y, stride_x, pad_y, pad_x, low, high;
};

static void max_pool_2d(const int8_t *input, int8_t *output, const struct max_pool_2d *p) {
    for (int32_t b = 0; b < p->batch; ++b, input += p->height * p->width * p->depth)
        for (int32_t y = 0; y < p->out_height; ++y) {
            const int32_t top = y * p->stride_y - p->pad_y;
            const struct window wy = window(top, p->kernel_height, 1, p->height);
            for (int32_t x = 0; x < p->out_width; ++x) {
                const int32_t left = x * p->stride_x - p->pad_x;
                const struct window wx = window(left, p->kernel_width, 1, p->width);
                for (int32_t c = 0; c < p->depth; ++c) {
                    int32_t most = -128;
                    for (int32_t k = wy.first; k < wy.end; ++k)
                        for (int32_t l = wx.first; l < wx.end; ++l) {
                            const int32_t value = input[((top + k) * p->width + left + l) * p->depth + c];
                            if (value > most) most = value;
                        }
                    *output++ = clamped(most, p->low, p->high);
                }
            }
        }
}
