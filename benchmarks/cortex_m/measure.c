/* Prints how many ticks one call takes; without CALL what the frame around it needs. */
#include "start.h"
#ifdef CALL
#include HEADER
#endif

int8_t given[GIVEN], made[MADE]; /* visible, so that they stay in both programs */

int main(void) {
    uint32_t before;
    start_ticks();
    before = ticks();
#ifdef CALL
    CALL(given, made);
#endif
    print_number((ticks() - before) & 0xFFFFFF);
    return given[0] + made[0] > 200;
}
