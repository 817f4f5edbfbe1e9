#define H1_ISA v4_bf16
#define H1_ISA_NAME "x86-64-v4+bf16"
#include "kernels/cpu/vector/table_body.h"
