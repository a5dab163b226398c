static int32_t dot(const int8_t *values, const int8_t *weights, int32_t count, int32_t zero_point) {
    int32_t sum = 0;
    for (; count > 0; --count) sum += (*values++ - zero_point) * *weights++;
    return sum;
}
