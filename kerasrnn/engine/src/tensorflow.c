/* Registers the operations when the library is loaded: their arrays, attributes and shapes. */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include "tensorflow.h"
#include "loops.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFINE(result, name, parameters) result(*name) parameters;
TENSORFLOW_FUNCTIONS(DEFINE)
#undef DEFINE

bool find_tensorflow(void) {
    static const char *const files[] = {"libtensorflow_framework.so.2",
                                        "libtensorflow_framework.2.dylib"};
    void *library = NULL;
    for (int i = 0; i < 2 && !library; i++) library = dlopen(files[i], RTLD_LAZY | RTLD_NOLOAD);
    if (!library) library = RTLD_DEFAULT;
    bool missing = false;
#define FIND(result, name, parameters) missing |= !(*(void **)&name = dlsym(library, #name));
    TENSORFLOW_FUNCTIONS(FIND)
#undef FIND
    return !missing;
}

/* --- shapes: what is known of the results before an operation is run -------------------------- */

/* The result has the shape of an input. */
static void same_shape(Shapes *shapes, int output, int input, TF_Status *status) {
    ShapeHandle *shape = TF_NewShapeHandle();
    TF_ShapeInferenceContextGetInput(shapes, input, shape, status);
    if (TF_GetCode(status) == TF_OK)
        TF_ShapeInferenceContextSetOutput(shapes, output, shape, status);
    TF_DeleteShapeHandle(shape);
}

/* The size of an input along an axis, or -1 where it is not known. */
static int64_t known_size(Shapes *shapes, int input, int axis, TF_Status *status) {
    ShapeHandle *shape = TF_NewShapeHandle();
    DimensionHandle *size = TF_NewDimensionHandle();
    int64_t found = -1;
    TF_ShapeInferenceContextGetInput(shapes, input, shape, status);
    if (TF_GetCode(status) == TF_OK && TF_ShapeInferenceContextRankKnown(shapes, shape) &&
        TF_ShapeInferenceContextRank(shapes, shape) > axis) {
        TF_ShapeInferenceContextDim(shapes, shape, axis, size);
        if (TF_DimensionHandleValueKnown(size)) found = TF_DimensionHandleValue(size);
    }
    TF_DeleteDimensionHandle(size);
    TF_DeleteShapeHandle(shape);
    return found;
}

/* The result is (batch, time, size), with the first two of an input; unknown if size < 0. */
static void batch_and_time(Shapes *shapes, int output, int input, int64_t size,
                           TF_Status *status) {
    if (size < 0) return;
    ShapeHandle *shape = TF_NewShapeHandle(), *first = TF_NewShapeHandle();
    ShapeHandle *last = TF_ShapeInferenceContextVectorFromSize(shapes, (size_t)size);
    TF_ShapeInferenceContextGetInput(shapes, input, shape, status);
    if (TF_GetCode(status) == TF_OK)
        TF_ShapeInferenceContextSubshape(shapes, shape, 0, 2, first, status);
    if (TF_GetCode(status) == TF_OK)
        TF_ShapeInferenceContextConcatenateShapes(shapes, first, last, shape, status);
    if (TF_GetCode(status) == TF_OK)
        TF_ShapeInferenceContextSetOutput(shapes, output, shape, status);
    TF_DeleteShapeHandle(last), TF_DeleteShapeHandle(first), TF_DeleteShapeHandle(shape);
}

/* h and c, and outputs of one form: of all steps, of two layers side by side, or the last ones. */
static void shapes_of_form(Shapes *shapes, int form, TF_Status *status) {
    const int n = (int)(TF_ShapeInferenceContextNumInputs(shapes) - SHARED) / FORWARD_INPUTS;
    TF_ShapeInferenceContextSetUnknownShape(shapes, status);
    for (int i = 0; i < n; i++) {
        const int64_t units = known_size(shapes, SHARED + RECURRENT * n + i, 0, status);
        if (form == OUTPUTS_LAST)
            same_shape(shapes, OUTPUTS * n + i, SHARED + FORWARD_H0 * n + i, status);
        else if (form == OUTPUTS_ALL || i == 0)
            batch_and_time(shapes, OUTPUTS * n + i, 0, form == OUTPUTS_ALL ? units : 2 * units, status);
        same_shape(shapes, FINAL_H * n + i, SHARED + FORWARD_H0 * n + i, status);
        same_shape(shapes, FINAL_C * n + i, SHARED + FORWARD_C0 * n + i, status);
    }
}

static void all_shapes(Shapes *shapes, TF_Status *status) { shapes_of_form(shapes, OUTPUTS_ALL, status); }
static void joined_shapes(Shapes *shapes, TF_Status *status) {
    shapes_of_form(shapes, OUTPUTS_JOINED, status);
}
static void last_shapes(Shapes *shapes, TF_Status *status) { shapes_of_form(shapes, OUTPUTS_LAST, status); }

static void backward_shapes(Shapes *shapes, TF_Status *status) {
    static const int like[BACKWARD_OUTPUTS] = {-1, KERNEL, RECURRENT, BIAS, D_H, D_C};
    const int n = (int)(TF_ShapeInferenceContextNumInputs(shapes) - SHARED) / BACKWARD_INPUTS;
    TF_ShapeInferenceContextSetUnknownShape(shapes, status);
    for (int i = 0; i < n; i++) {
        const int recurrent = SHARED + RECURRENT * n + i;
        const int64_t units = known_size(shapes, recurrent, 0, status);
        const int64_t columns = known_size(shapes, recurrent, 1, status);
        const bool known = units > 0 && columns >= 0;
        batch_and_time(shapes, D_SUMS * n + i, 0,
                       known ? 8 * panels_of(units) * (columns / units) : -1, status);
        for (int list = D_KERNEL; list < BACKWARD_OUTPUTS; list++)
            same_shape(shapes, list * n + i, SHARED + like[list] * n + i, status);
    }
}

static void inputs_gradient_shapes(Shapes *shapes, TF_Status *status) {
    const int n = (int)TF_ShapeInferenceContextNumInputs(shapes) / INPUTS_INPUTS;
    TF_ShapeInferenceContextSetUnknownShape(shapes, status);
    batch_and_time(shapes, 0, INPUTS_D_SUMS, known_size(shapes, INPUTS_KERNEL * n, 0, status),
                   status);
}

/* --- registration ------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    const char *inputs[10], *outputs[8]; /* up to NULL */
    int attributes;                     /* a bit for each */
    void (*shapes)(Shapes *, TF_Status *);
    void *(*create)(Construction *);
    void (*compute)(void *, Context *);
} Operation;

enum { OF_LOOPS = 1 << NUMBER | 1 << CELL | 1 << THREADS | 1 << REVERSE | 1 << ZERO_MASKED };
#define LAYERS(name) name ": number * float"
#define FORWARD_ARRAYS                                                                           \
    {"x: float", "mask: bool", LAYERS("kernel"), LAYERS("recurrent_kernel"), LAYERS("bias"),     \
     LAYERS("initial_h"), LAYERS("initial_c")},                                                  \
        {LAYERS("outputs"), LAYERS("h"), LAYERS("c"), LAYERS("tape")}
static const Operation operations[] = {
    {"KerasrnnForwardAll", FORWARD_ARRAYS, OF_LOOPS | 1 << KEEP, all_shapes, read_for_all, compute_forward},
    {"KerasrnnForwardJoined", FORWARD_ARRAYS, OF_LOOPS | 1 << KEEP, joined_shapes, read_for_joined,
     compute_forward},
    {"KerasrnnForwardLast", FORWARD_ARRAYS, OF_LOOPS | 1 << KEEP, last_shapes, read_for_last, compute_forward},
    {"KerasrnnBackward",
     {"x: float", "mask: bool", LAYERS("kernel"), LAYERS("recurrent_kernel"), LAYERS("bias"),
      LAYERS("tape"), LAYERS("d_outputs"), LAYERS("d_h"), LAYERS("d_c")},
     {LAYERS("d_sums"), LAYERS("d_kernel"), LAYERS("d_recurrent_kernel"), LAYERS("d_bias"),
      LAYERS("d_initial_h"), LAYERS("d_initial_c")},
     OF_LOOPS | 1 << JOINED, backward_shapes, read_attributes, compute_backward},
    {"KerasrnnInputsGradient",
     {LAYERS("d_sums"), LAYERS("kernel")},
     {"d_x: float"},
     1 << NUMBER | 1 << CELL | 1 << THREADS, inputs_gradient_shapes, read_attributes, compute_inputs_gradient},
};
#undef FORWARD_ARRAYS
#undef LAYERS

static void add(const Operation *operation) {
    TF_Status *status = TF_NewStatus();
    Definition *definition = TF_NewOpDefinitionBuilder(operation->name);
    for (const char *const *input = operation->inputs; *input; input++)
        TF_OpDefinitionBuilderAddInput(definition, *input);
    for (const char *const *output = operation->outputs; *output; output++)
        TF_OpDefinitionBuilderAddOutput(definition, *output);
    for (int i = 0; i < ATTRIBUTES; i++) {
        char text[32];
        if (!(operation->attributes >> i & 1)) continue;
        snprintf(text, sizeof text, i == NUMBER ? "%s: int >= 1" : "%s: int", attribute_names[i]);
        TF_OpDefinitionBuilderAddAttr(definition, text);
    }
    TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, operation->shapes);
    TF_RegisterOpDefinition(definition, status);
    if (TF_GetCode(status) == TF_OK) {
        Kernel *kernel = TF_NewKernelBuilder(operation->name, "CPU", operation->create,
                                             operation->compute, free);
        TF_RegisterKernelBuilder(operation->name, kernel, status);
    }
    TF_DeleteStatus(status);
}

__attribute__((constructor)) static void register_operations(void) {
    if (!find_tensorflow()) return;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) add(operations + i);
}
