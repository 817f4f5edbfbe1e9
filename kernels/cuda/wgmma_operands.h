#pragma once

/// Operands of the warpgroup products, which want every register of an accumulator by name: the
/// lists that wgmma.h and wgmma_registers.h share, for 8 to 128 of them.
/// H1_NAMES_n: their numbers in the instruction's text, "%0, %1, ... %(n - 1)".
#define H1_NAMES_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define H1_NAMES_16 \
  H1_NAMES_8        \
  ", "              \
  "%8, %9, %10, %11, %12, %13, %14, %15"
#define H1_NAMES_32 \
  H1_NAMES_16       \
  ", "              \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define H1_NAMES_64                                                                  \
  H1_NAMES_32                                                                        \
  ", "                                                                               \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define H1_NAMES_128                                                                     \
  H1_NAMES_64                                                                            \
  ", "                                                                                   \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "     \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "     \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, "     \
  "%110, %111, %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, " \
  "%124, %125, %126, %127"
/// H1_HELD_n(d, i): d[i] ... d[i + n - 1], read and written.
#define H1_HELD_4(d, i) "+f"(d[i]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3])
#define H1_HELD_8(d, i) H1_HELD_4(d, i), H1_HELD_4(d, (i) + 4)
#define H1_HELD_16(d, i) H1_HELD_8(d, i), H1_HELD_8(d, (i) + 8)
#define H1_HELD_32(d, i) H1_HELD_16(d, i), H1_HELD_16(d, (i) + 16)
#define H1_HELD_64(d, i) H1_HELD_32(d, i), H1_HELD_32(d, (i) + 32)
#define H1_HELD_128(d, i) H1_HELD_64(d, i), H1_HELD_64(d, (i) + 64)
/// The instruction for m64nNk16 up to its accumulators, n of them; `p` is operand number P's truth.
#define H1_WGMMA_BEGIN(N, n, P)           \
  "{\n.reg .pred p;\nsetp.ne.b32 p, %" #P \
  ", 0;\n"                                \
  "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" H1_NAMES_##n "}, "
