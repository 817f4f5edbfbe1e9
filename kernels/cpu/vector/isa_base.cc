#define H1_ISA base
#define H1_ISA_NAME "baseline"
#include "kernels/cpu/vector/table_body.h"
