/* Two tensors, either of which is repeated along axes where its step is 0. */
struct pair {
    int32_t shape[4], first_step[4], second_step[4];
    int32_t first_zero_point, second_zero_point;
    int32_t first_multiplier, first_shift, second_multiplier, second_shift; /* of sums alone */
    struct target target;
};

static int32_t place(const struct pair *p, const int32_t *step, int32_t i) {
    int32_t found = 0;
    for (int32_t axis = 3; axis >= 0; i /= p->shape[axis--]) found += i % p->shape[axis] * step[axis];
    return found;
}

static int32_t pair_count(const struct pair *p) {
    return p->shape[0] * p->shape[1] * p->shape[2] * p->shape[3];
}
