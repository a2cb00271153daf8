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

/* The outputs depend on attributes, which this interface cannot read: Python sets their shape. */
static void forward_shapes(Shapes *shapes, TF_Status *status) {
    const int n = (int)(TF_ShapeInferenceContextNumInputs(shapes) - SHARED) / FORWARD_INPUTS;
    TF_ShapeInferenceContextSetUnknownShape(shapes, status);
    for (int i = 0; i < n; i++) {
        same_shape(shapes, FINAL_H * n + i, SHARED + FORWARD_H0 * n + i, status);
        same_shape(shapes, FINAL_C * n + i, SHARED + FORWARD_C0 * n + i, status);
    }
}

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
    int attributes;                     /* the first of them */
    void (*shapes)(Shapes *, TF_Status *);
    void (*compute)(void *, Context *);
} Operation;

#define LAYERS(name) name ": number * float"
static const Operation operations[] = {
    {"KerasrnnForward",
     {"x: float", "mask: bool", LAYERS("kernel"), LAYERS("recurrent_kernel"), LAYERS("bias"),
      LAYERS("initial_h"), LAYERS("initial_c")},
     {LAYERS("outputs"), LAYERS("h"), LAYERS("c"), LAYERS("tape")},
     KEEP + 1, forward_shapes, compute_forward},
    {"KerasrnnBackward",
     {"x: float", "mask: bool", LAYERS("kernel"), LAYERS("recurrent_kernel"), LAYERS("bias"),
      LAYERS("tape"), LAYERS("d_outputs"), LAYERS("d_h"), LAYERS("d_c")},
     {LAYERS("d_sums"), LAYERS("d_kernel"), LAYERS("d_recurrent_kernel"), LAYERS("d_bias"),
      LAYERS("d_initial_h"), LAYERS("d_initial_c")},
     JOINED + 1, backward_shapes, compute_backward},
    {"KerasrnnInputsGradient",
     {LAYERS("d_sums"), LAYERS("kernel")},
     {"d_x: float"},
     THREADS + 1, inputs_gradient_shapes, compute_inputs_gradient},
};
#undef LAYERS

static void add(const Operation *operation) {
    TF_Status *status = TF_NewStatus();
    Definition *definition = TF_NewOpDefinitionBuilder(operation->name);
    for (const char *const *input = operation->inputs; *input; input++)
        TF_OpDefinitionBuilderAddInput(definition, *input);
    for (const char *const *output = operation->outputs; *output; output++)
        TF_OpDefinitionBuilderAddOutput(definition, *output);
    for (int i = 0; i < operation->attributes; i++) {
        char text[32];
        snprintf(text, sizeof text, i == NUMBER ? "%s: int >= 1" : "%s: int", attribute_names[i]);
        TF_OpDefinitionBuilderAddAttr(definition, text);
    }
    TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, operation->shapes);
    TF_RegisterOpDefinition(definition, status);
    if (TF_GetCode(status) == TF_OK) {
        Kernel *kernel = TF_NewKernelBuilder(operation->name, "CPU", read_attributes,
                                             operation->compute, free);
        TF_RegisterKernelBuilder(operation->name, kernel, status);
    }
    TF_DeleteStatus(status);
}

__attribute__((constructor)) static void register_operations(void) {
    if (!find_tensorflow()) return;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) add(operations + i);
}
