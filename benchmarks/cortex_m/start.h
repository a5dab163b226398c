#ifndef START_H
#define START_H

#include <stdint.h>

void print_number(uint32_t number);
void start_ticks(void);
uint32_t ticks(void);

#endif
