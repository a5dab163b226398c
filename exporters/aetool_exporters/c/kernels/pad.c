struct pad {
    int32_t shape[4], before[4], out_shape[4];
    int32_t value;
};

static void pad(const int8_t *input, int8_t *output, const struct pad *p) {
    const int32_t *s = p->out_shape, *n = p->shape, *f = p->before;
    for (int32_t a = 0; a < s[0]; ++a)
        for (int32_t b = 0; b < s[1]; ++b)
            for (int32_t c = 0; c < s[2]; ++c)
                for (int32_t d = 0; d < s[3]; ++d) {
                    const int inside = a >= f[0] && a < f[0] + n[0] && b >= f[1] && b < f[1] + n[1] && c >= f[2] &&
                                       c < f[2] + n[2] && d >= f[3] && d < f[3] + n[3];
                    *output++ = inside ? *input++ : (int8_t)p->value;
                }
}
