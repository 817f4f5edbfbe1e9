#define H1_ISA v4
#define H1_ISA_NAME "x86-64-v4"
#include "kernels/cpu/vector/table_body.h"
