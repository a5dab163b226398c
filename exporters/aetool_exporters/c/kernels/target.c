/* How sums become int8 values: a factor (one for all channels, or each its own), zero point, and bounds. */
struct target {
    const int32_t *multiplier;
    const int8_t *shift;
    int32_t each; /* 1: channel c has factor c; 0: all have factor 0 */
    int32_t zero_point, low, high;
};

/* value * multiplier * 2^(shift - 31), rounded at the product and at the shift. */
static int32_t scaled(int32_t value, int32_t multiplier, int32_t shift) {
    int64_t product;
    int32_t high, rest, mask;
    if (shift > 0) {
        const int64_t wide = (int64_t)value * ((int64_t)1 << shift);
        value = wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
    }
    product = (int64_t)value * multiplier;
    product += product >= 0 ? 1073741824 : -1073741823;
    high = (int32_t)(product / 2147483648LL);
    if (shift >= 0) return high;
    mask = (int32_t)((1U << -shift) - 1U);
    rest = high & mask;
    return (high >> -shift) + (rest > (mask >> 1) + (high < 0) ? 1 : 0);
}

static int8_t finished(int32_t sum, int32_t channel, const struct target *to) {
    const int32_t factor = channel * to->each;
    return clamped(scaled(sum, to->multiplier[factor], to->shift[factor]) + to->zero_point, to->low, to->high);
}
