#define H1_ISA v3
#define H1_ISA_NAME "x86-64-v3"
#include "kernels/cpu/vector/table_body.h"
