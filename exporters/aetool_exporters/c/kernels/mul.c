static void mul(const int8_t *first, const int8_t *second, int8_t *output, const struct pair *p) {
    for (int32_t i = 0; i < pair_count(p); ++i) {
        const int32_t a = first[place(p, p->first_step, i)] - p->first_zero_point;
        const int32_t b = second[place(p, p->second_step, i)] - p->second_zero_point;
        output[i] = finished(a * b, 0, &p->target);
    }
}
