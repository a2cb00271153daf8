/* Operations of TensorFlow for the loops of loops.c, by TensorFlow's interface for C.
 *
 * Its functions are looked up when tf.load_op_library loads this library, so that it is built
 * without TensorFlow; where one of them is missing there are no operations. What they are given
 * and give stands in loops.py.
 */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include "loops.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- TensorFlow: tensorflow/c/{ops,kernels,tf_tensor,tf_status}.h ----------------------------- */

typedef struct TF_Status TF_Status;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_OpDefinitionBuilder Definition;
typedef struct TF_KernelBuilder Kernel;
typedef struct TF_ShapeInferenceContext Shapes;
typedef struct TF_OpKernelConstruction Construction;
typedef struct TF_OpKernelContext Context;
enum { TF_OK = 0, TF_INVALID_ARGUMENT = 3, TF_RESOURCE_EXHAUSTED = 8, TF_FLOAT = 1 };

#define FUNCTIONS(F)                                                                            \
    F(TF_Status *, TF_NewStatus, (void))                                                        \
    F(void, TF_DeleteStatus, (TF_Status *))                                                     \
    F(void, TF_SetStatus, (TF_Status *, int code, const char *message))                         \
    F(int, TF_GetCode, (const TF_Status *))                                                     \
    F(void *, TF_TensorData, (const TF_Tensor *))                                               \
    F(int, TF_NumDims, (const TF_Tensor *))                                                     \
    F(int64_t, TF_Dim, (const TF_Tensor *, int dimension))                                      \
    F(void, TF_DeleteTensor, (TF_Tensor *))                                                     \
    F(Definition *, TF_NewOpDefinitionBuilder, (const char *name))                              \
    F(void, TF_OpDefinitionBuilderAddAttr, (Definition *, const char *))                        \
    F(void, TF_OpDefinitionBuilderAddInput, (Definition *, const char *))                       \
    F(void, TF_OpDefinitionBuilderAddOutput, (Definition *, const char *))                      \
    F(void, TF_OpDefinitionBuilderSetShapeInferenceFunction,                                    \
      (Definition *, void (*)(Shapes *, TF_Status *)))                                          \
    F(void, TF_ShapeInferenceContextSetUnknownShape, (Shapes *, TF_Status *))                   \
    F(void, TF_RegisterOpDefinition, (Definition *, TF_Status *))                               \
    F(Kernel *, TF_NewKernelBuilder,                                                            \
      (const char *name, const char *device, void *(*create)(Construction *),                   \
       void (*compute)(void *, Context *), void (*delete)(void *)))                             \
    F(void, TF_RegisterKernelBuilder, (const char *name, Kernel *, TF_Status *))                \
    F(bool, TF_OpKernelConstruction_HasAttr, (Construction *, const char *name, TF_Status *))   \
    F(void, TF_OpKernelConstruction_GetAttrInt64,                                               \
      (Construction *, const char *name, int64_t *, TF_Status *))                               \
    F(void, TF_OpKernelConstruction_Failure, (Construction *, TF_Status *))                     \
    F(void, TF_OpKernelContext_Failure, (Context *, TF_Status *))                               \
    F(int, TF_NumInputs, (Context *))                                                           \
    F(void, TF_GetInput, (Context *, int index, TF_Tensor **, TF_Status *))                     \
    F(TF_Tensor *, TF_AllocateOutput,                                                           \
      (Context *, int index, int type, const int64_t *shape, int dimensions, size_t bytes,      \
       TF_Status *))
#define DECLARE(result, name, parameters) static result(*name) parameters;
FUNCTIONS(DECLARE)

static bool find_functions(void) {
    static const char *const files[] = {"libtensorflow_framework.so.2",
                                        "libtensorflow_framework.2.dylib"};
    void *library = NULL;
    for (int i = 0; i < 2 && !library; i++) library = dlopen(files[i], RTLD_LAZY | RTLD_NOLOAD);
    if (!library) library = RTLD_DEFAULT;
    bool missing = false;
#define FIND(result, name, parameters) missing |= !(*(void **)&name = dlsym(library, #name));
    FUNCTIONS(FIND)
    return !missing;
}

/* --- attributes --------------------------------------------------------------------------- */

enum { CELL, THREADS, REVERSE, ZERO_MASKED, JOINED, SEQUENCES, KEEP, ATTRIBUTES };
static const char *const attributes[] = {"cell",   "threads",   "reverse", "zero_masked",
                                         "joined", "sequences", "keep"};

/* Those that the operation has, int64_t[ATTRIBUTES]. */
static void *read_attributes(Construction *construction) {
    TF_Status *status = TF_NewStatus();
    int64_t *how = calloc(ATTRIBUTES, sizeof *how);
    if (!how) TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, "no memory for a recurrent layer");
    for (int i = 0; i < ATTRIBUTES && TF_GetCode(status) == TF_OK; i++)
        if (TF_OpKernelConstruction_HasAttr(construction, attributes[i], status))
            TF_OpKernelConstruction_GetAttrInt64(construction, attributes[i], how + i, status);
    if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
    TF_DeleteStatus(status);
    return how;
}

/* --- arrays ------------------------------------------------------------------------------- */

enum { MOST_ARRAYS = 8 + 16 * MOST_LAYERS }; /* of an operation, more than there are */

typedef struct {
    Context *context;
    TF_Status *status;
    TF_Tensor *tensors[MOST_ARRAYS]; /* to be deleted in the end */
    int number;
} Call;

static bool good(const Call *call) { return TF_GetCode(call->status) == TF_OK; }

static Call begin(Context *context) { return (Call){context, TF_NewStatus(), {NULL}, 0}; }

static void end(Call *call) {
    if (!good(call)) TF_OpKernelContext_Failure(call->context, call->status);
    while (call->number) TF_DeleteTensor(call->tensors[--call->number]);
    TF_DeleteStatus(call->status);
}

static void fail(Call *call, int code, const char *message, ...) {
    char text[256];
    va_list values;
    va_start(values, message);
    vsnprintf(text, sizeof text, message, values);
    va_end(values);
    if (good(call)) TF_SetStatus(call->status, code, text);
}

static void check_memory(Call *call, int short_of_it) {
    if (short_of_it) fail(call, TF_RESOURCE_EXHAUSTED, "no memory for a recurrent layer");
}

static TF_Tensor *tensor(Call *call, int index) {
    TF_Tensor *found = NULL;
    if (good(call)) TF_GetInput(call->context, index, &found, call->status);
    return found ? call->tensors[call->number++] = found : NULL;
}

typedef struct {
    int rank;
    int64_t of[6];
} Shape;
#define SHAPE(...)                                                        \
    (Shape) {                                                             \
        sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), {__VA_ARGS__} \
    }
#define NONE SHAPE(0) /* of an array that is not there */

static Shape shape_of(const TF_Tensor *tensor) {
    Shape shape = {tensor ? TF_NumDims(tensor) : 0, {0}};
    for (int i = 0; i < shape.rank && i < 6; i++) shape.of[i] = TF_Dim(tensor, i);
    return shape;
}

static bool same(Shape a, Shape b) {
    return a.rank == b.rank && !memcmp(a.of, b.of, sizeof(int64_t) * a.rank);
}

static const char *text_of(Shape shape, char text[128]) {
    int length = snprintf(text, 128, "(");
    for (int i = 0; i < shape.rank && i < 6; i++)
        length += snprintf(text + length, 128 - length, i ? ", %lld" : "%lld",
                           (long long)shape.of[i]);
    snprintf(text + length, 128 - length, shape.rank == 1 ? ",)" : ")");
    return text;
}

/* The values of a tensor that must have this shape, since the loops read as much. NULL where it has
 * another, or none to read. */
static const void *values(Call *call, const TF_Tensor *found, const char *name, Shape expected) {
    char one[128], other[128];
    if (!found) return NULL;
    if (!same(shape_of(found), expected)) {
        fail(call, TF_INVALID_ARGUMENT, "%s of shape %s, expected %s", name,
             text_of(shape_of(found), one), text_of(expected, other));
        return NULL;
    }
    return expected.of[0] ? TF_TensorData(found) : NULL;
}

static const void *input(Call *call, int index, const char *name, Shape expected) {
    return values(call, tensor(call, index), name, expected);
}

/* Room for an output. NULL after an error, and where there is nothing to write. */
static float *output(Call *call, int index, Shape shape) {
    size_t bytes = sizeof(float);
    for (int i = 0; i < shape.rank; i++) bytes *= shape.of[i];
    TF_Tensor *made = NULL;
    if (good(call))
        made = TF_AllocateOutput(call->context, index, TF_FLOAT, shape.of, shape.rank, bytes,
                                 call->status);
    if (made) call->tensors[call->number++] = made;
    return made && bytes ? TF_TensorData(made) : NULL;
}

/* --- what forward and backward share -------------------------------------------------------- */

/* x and the mask, of every layer. */
static Loop what_is_read(Call *call, const int64_t *how) {
    Loop p = {.joined = how[JOINED] ? 2 : 1, .zero_masked = (int32_t)how[ZERO_MASKED]};
    TF_Tensor *x = tensor(call, 0), *mask = tensor(call, 1);
    if (!x || !mask) return p;
    if (TF_NumDims(x) != 3) {
        fail(call, TF_INVALID_ARGUMENT, "%d dimensions of x, expected (batch, time, inputs)",
             TF_NumDims(x));
        return p;
    }
    p.rows = TF_Dim(x, 0), p.steps = TF_Dim(x, 1), p.inputs = TF_Dim(x, 2);
    p.x = TF_TensorData(x);
    p.mask = same(shape_of(mask), NONE) ? NULL : values(call, mask, "mask", SHAPE(p.rows, p.steps));
    return p;
}

/* What layer i reads, its weights among it: three inputs from this one on. */
static Loop layer(Call *call, const int64_t *how, Loop p, int i, int index) {
    const int cell = (int)how[CELL];
    TF_Tensor *kernel = tensor(call, index), *recurrent = tensor(call, index + 1);
    TF_Tensor *bias = tensor(call, index + 2);
    p.reverse = how[REVERSE] >> i & 1, p.second = how[JOINED] && i;
    if (!good(call)) return p;
    p.units = TF_NumDims(recurrent) ? TF_Dim(recurrent, 0) : 0;
    const int64_t columns = gates_of(cell) * p.units;
    p.w = values(call, kernel, "kernel", SHAPE(p.inputs, columns));
    p.u = values(call, recurrent, "recurrent kernel", SHAPE(p.units, columns));
    if (cell == GRU && TF_NumDims(bias) == 2) {
        p.bias = values(call, bias, "bias", SHAPE(2, columns));
        if (p.bias) p.state_bias = p.bias + columns;
    } else {
        p.bias = values(call, bias, "bias", SHAPE(columns));
    }
    return p;
}

static Shape states(const Loop *p) { return SHAPE(p->rows, p->units); }

static Shape c_states(const Loop *p, int cell) { return cell == LSTM ? states(p) : NONE; }

static Shape outputs(const Loop *p) { return SHAPE(p->rows, p->steps, p->joined * p->units); }

static Shape kept(const Loop *p, int cell) {
    return SHAPE(p->rows, p->steps, panels_of(p->units), kept_of(cell), 8);
}

/* How many layers there are, of so many inputs each after the first ones. */
static int layers_of(Call *call, int first, int each) {
    const int inputs = TF_NumInputs(call->context) - first;
    if (inputs % each || inputs < each || inputs > MOST_LAYERS * each)
        fail(call, TF_INVALID_ARGUMENT, "%d arrays of layers, expected %d of each of at most %d",
             inputs, each, MOST_LAYERS);
    return good(call) ? inputs / each : 0;
}

/* --- the operations ----------------------------------------------------------------------- */

static void forward(void *attributes, Context *context) {
    const int64_t *how = attributes;
    const int cell = (int)how[CELL];
    Call call = begin(context);
    const int layers = layers_of(&call, 2, 5);
    const Loop read = what_is_read(&call, how);
    Loop loops[MOST_LAYERS];
    for (int i = 0; i < layers; i++) {
        Loop *p = loops + i;
        const int in = 2 + 5 * i, out = 4 * i;
        *p = layer(&call, how, read, i, in);
        p->h0 = input(&call, in + 3, "state h", states(p));
        p->c0 = input(&call, in + 4, "state c", c_states(p, cell));
        const Shape all = how[SEQUENCES] ? outputs(p) : states(p);
        float *shown = output(&call, out, p->second ? NONE : all);
        if (how[SEQUENCES]) p->out = p->second ? loops[0].out : shown;
        else p->last = shown;
        p->h = output(&call, out + 1, states(p));
        p->c = output(&call, out + 2, c_states(p, cell));
        p->kept = output(&call, out + 3, how[KEEP] ? kept(p, cell) : NONE);
    }
    if (good(&call))
        check_memory(&call, kerasrnn_loops(loops, layers, cell, 0, (int)how[THREADS]));
    end(&call);
}

static void backward(void *attributes, Context *context) {
    const int64_t *how = attributes;
    const int cell = (int)how[CELL];
    Call call = begin(context);
    const int layers = layers_of(&call, 2, 7);
    const Loop read = what_is_read(&call, how);
    Loop loops[MOST_LAYERS];
    float *d_states[MOST_LAYERS] = {NULL};
    for (int i = 0; i < layers; i++) {
        Loop *p = loops + i;
        const int in = 2 + 7 * i, out = 6 * i;
        *p = layer(&call, how, read, i, in + 3);
        const TF_Tensor *gradient = tensor(&call, p->second ? 2 : in);
        const bool sequences = shape_of(gradient).rank == 3;
        const float *d_shown = values(&call, gradient, "gradient of outputs",
                                      sequences ? outputs(p) : states(p));
        if (sequences) p->d_out = d_shown;
        else p->d_last = d_shown;
        p->d_h = input(&call, in + 1, "gradient of state h", states(p));
        p->d_c = input(&call, in + 2, "gradient of state c", c_states(p, cell));
        p->kept = (float *)input(&call, in + 6, "what is kept", kept(p, cell));
        const int64_t columns = panels_of(p->units) * gates_of(cell) * 8, G = gates_of(cell);
        p->d_gates = output(&call, out, SHAPE(p->rows, p->steps, columns));
        p->d_w = output(&call, out + 1, SHAPE(p->inputs, G * p->units));
        p->d_u = output(&call, out + 2, SHAPE(p->units, G * p->units));
        p->d_bias = output(&call, out + 3,
                           p->state_bias ? SHAPE(2, G * p->units) : SHAPE(G * p->units));
        if (p->state_bias && p->d_bias) p->d_state_bias = p->d_bias + G * p->units;
        p->d_h0 = output(&call, out + 4, states(p));
        p->d_c0 = output(&call, out + 5, c_states(p, cell));
        if (cell == GRU) {
            const size_t bytes = sizeof(float) * p->rows * p->steps * columns;
            p->d_state = d_states[i] = malloc(bytes + 1);
            check_memory(&call, !d_states[i]);
        }
    }
    if (good(&call))
        check_memory(&call, kerasrnn_loops(loops, layers, cell, 1, (int)how[THREADS]));
    for (int i = 0; i < layers; i++) free(d_states[i]);
    end(&call);
}

static void inputs_gradient(void *attributes, Context *context) {
    const int64_t *how = attributes, gates = gates_of((int)how[CELL]);
    Call call = begin(context);
    const int layers = layers_of(&call, 0, 2);
    const Shape gradient = shape_of(tensor(&call, 0)), kernel = shape_of(tensor(&call, 1));
    const int64_t rows = gradient.of[0], steps = gradient.of[1], inputs = kernel.of[0];
    const float *d_gates[MOST_LAYERS], *kernels[MOST_LAYERS];
    int64_t units[MOST_LAYERS];
    for (int i = 0; i < layers; i++) {
        units[i] = shape_of(tensor(&call, 2 * i + 1)).of[1] / gates;
        const int64_t columns = panels_of(units[i]) * gates * 8;
        d_gates[i] = input(&call, 2 * i, "gradient of gates", SHAPE(rows, steps, columns));
        kernels[i] = input(&call, 2 * i + 1, "kernel", SHAPE(inputs, gates * units[i]));
    }
    float *d_x = output(&call, 0, SHAPE(rows, steps, inputs));
    if (good(&call) && d_x)
        check_memory(&call, kerasrnn_inputs(d_x, rows * steps, inputs, units, gates, d_gates,
                                            kernels, layers, (int)how[THREADS]));
    end(&call);
}

/* --- registration ------------------------------------------------------------------------- */

static void unknown_shapes(Shapes *shapes, TF_Status *status) {
    TF_ShapeInferenceContextSetUnknownShape(shapes, status);
}

/* An operation with arrays "a" and "b" before those of its layers, and so many attributes. */
static void add(const char *name, const char *a, const char *b, const char *output,
                int number_of_attributes, void (*compute)(void *, Context *)) {
    TF_Status *status = TF_NewStatus();
    Definition *definition = TF_NewOpDefinitionBuilder(name);
    if (a) TF_OpDefinitionBuilderAddInput(definition, a);
    if (b) TF_OpDefinitionBuilderAddInput(definition, b);
    TF_OpDefinitionBuilderAddInput(definition, "layers: number * float");
    TF_OpDefinitionBuilderAddOutput(definition, output);
    TF_OpDefinitionBuilderAddAttr(definition, "number: int >= 1");
    if (strchr(output, '*')) TF_OpDefinitionBuilderAddAttr(definition, "results: int >= 1");
    for (int i = 0; i < number_of_attributes; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s: int", attributes[i]);
        TF_OpDefinitionBuilderAddAttr(definition, text);
    }
    TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, unknown_shapes);
    TF_RegisterOpDefinition(definition, status);
    if (TF_GetCode(status) == TF_OK) {
        Kernel *kernel = TF_NewKernelBuilder(name, "CPU", read_attributes, compute, free);
        TF_RegisterKernelBuilder(name, kernel, status);
    }
    TF_DeleteStatus(status);
}

__attribute__((constructor)) static void at_first(void) {
    if (!find_functions()) return;
    add("KerasrnnForward", "x: float", "mask: bool", "result: results * float", KEEP + 1, forward);
    add("KerasrnnBackward", "x: float", "mask: bool", "result: results * float", JOINED + 1,
        backward);
    add("KerasrnnInputsGradient", NULL, NULL, "d_x: float", THREADS + 1, inputs_gradient);
}
