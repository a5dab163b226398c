/* Reset, faults, semihosting and a count of instructions: what a bare program needs on an emulated Cortex-M. */
#include "start.h"

#include <stddef.h>
#include <string.h>

extern uint32_t stack_top, data_load, data_start, data_end, bss_start, bss_end;

int main(void);

static void semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void leave(int code) {
    const uint32_t block[2] = {0x20026, (uint32_t)code}; /* an application's exit */
    semihost(0x20, block);
    for (;;) {
    }
}

void print_number(uint32_t number) {
    char text[12], *at = text + sizeof text;
    *--at = 0;
    *--at = '\n';
    do *--at = (char)('0' + number % 10);
    while (number /= 10);
    semihost(0x04, at);
}

#define SYSTICK ((volatile uint32_t *)0xE000E010)

void start_ticks(void) {
    SYSTICK[1] = 0xFFFFFF;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5; /* on, the processor's clock, no interrupt */
    while (SYSTICK[2] == 0) {
    }
}

uint32_t ticks(void) { return 0xFFFFFF - SYSTICK[2]; }

void reset(void);

void reset(void) {
    memcpy(&data_start, &data_load, (size_t)((char *)&data_end - (char *)&data_start));
    memset(&bss_start, 0, (size_t)((char *)&bss_end - (char *)&bss_start));
    leave(main());
}

static void fault(void) { leave(99); }

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)fault, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault,
};
