struct depthwise_conv_2d {
    const int8_t *weights; /* [kernel_height][kernel_width][channels] */
    const int32_t *bias;
    int32_t batch, height, width, depth; /* of the input */
    int32_t out_height, out_width, channels, multiple; /* channels = depth * multiple */
    int32_t kernel_height, kernel_width, stride_y, stride_x, pad_y, pad_x, dilation_y, dilation_x, zero_point;
    struct target target;
};

static void depthwise_conv_2d(const int8_t *input, int8_t *output, const struct depthwise_conv_2d *p) {
    for (int32_t b = 0; b < p->batch; ++b, input += p->height * p->width * p->depth)
        for (int32_t y = 0; y < p->out_height; ++y) {
            const int32_t top = y * p->stride_y - p->pad_y;
            const struct window wy = window(top, p->kernel_height, p->dilation_y, p->height);
            for (int32_t x = 0; x < p->out_width; ++x) {
                const int32_t left = x * p->stride_x - p->pad_x;
                const struct window wx = window(left, p->kernel_width, p->dilation_x, p->width);
                for (int32_t c = 0; c < p->channels; ++c) {
                    const int8_t *values = input + c / p->multiple;
                    int32_t sum = p->bias[c];
                    for (int32_t k = wy.first; k < wy.end; ++k)
                        for (int32_t l = wx.first; l < wx.end; ++l)
                            sum += (values[((top + k * p->dilation_y) * p->width + left + l * p->dilation_x) * p->depth] -
                                    p->zero_point) *
                                   p->weights[(k * p->kernel_width + l) * p->channels + c];
                    *output++ = finished(sum, c, &p->target);
                }
            }
        }
}
