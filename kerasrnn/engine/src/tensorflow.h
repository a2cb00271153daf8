/* What is used of TensorFlow's interface for C: tensorflow/c/{ops,kernels,tf_tensor,tf_status}.h.
 *
 * Its functions are looked up when tf.load_op_library loads this library, so that it is built
 * without TensorFlow; where one of them is missing there are no operations.
 */
#ifndef KERASRNN_TENSORFLOW_H
#define KERASRNN_TENSORFLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct TF_Status TF_Status;
typedef struct TF_Tensor TF_Tensor;
typedef struct TF_OpDefinitionBuilder Definition;
typedef struct TF_KernelBuilder Kernel;
typedef struct TF_ShapeInferenceContext Shapes;
typedef struct TF_ShapeHandle ShapeHandle;
typedef struct TF_DimensionHandle DimensionHandle;
typedef struct TF_OpKernelConstruction Construction;
typedef struct TF_OpKernelContext Context;
enum { TF_OK = 0, TF_INVALID_ARGUMENT = 3, TF_RESOURCE_EXHAUSTED = 8, TF_FLOAT = 1 };

#define TENSORFLOW_FUNCTIONS(F)                                                                 \
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
    F(int64_t, TF_ShapeInferenceContextNumInputs, (Shapes *))                                   \
    F(void, TF_ShapeInferenceContextGetInput, (Shapes *, int i, ShapeHandle *, TF_Status *))    \
    F(void, TF_ShapeInferenceContextSetOutput, (Shapes *, int i, ShapeHandle *, TF_Status *))   \
    F(void, TF_ShapeInferenceContextSetUnknownShape, (Shapes *, TF_Status *))                   \
    F(void, TF_ShapeInferenceContextSubshape,                                                   \
      (Shapes *, ShapeHandle *, int64_t start, int64_t end, ShapeHandle *, TF_Status *))        \
    F(void, TF_ShapeInferenceContextConcatenateShapes,                                          \
      (Shapes *, ShapeHandle *, ShapeHandle *, ShapeHandle *result, TF_Status *))               \
    F(int64_t, TF_ShapeInferenceContextRank, (Shapes *, ShapeHandle *))                         \
    F(int, TF_ShapeInferenceContextRankKnown, (Shapes *, ShapeHandle *))                        \
    F(void, TF_ShapeInferenceContextDim, (Shapes *, ShapeHandle *, int64_t, DimensionHandle *)) \
    F(ShapeHandle *, TF_ShapeInferenceContextVectorFromSize, (Shapes *, size_t))                \
    F(ShapeHandle *, TF_NewShapeHandle, (void))                                                 \
    F(void, TF_DeleteShapeHandle, (ShapeHandle *))                                              \
    F(DimensionHandle *, TF_NewDimensionHandle, (void))                                         \
    F(int, TF_DimensionHandleValueKnown, (DimensionHandle *))                                   \
    F(int64_t, TF_DimensionHandleValue, (DimensionHandle *))                                    \
    F(void, TF_DeleteDimensionHandle, (DimensionHandle *))                                      \
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
    F(void, TF_GetInput, (Context *, int index, TF_Tensor **, TF_Status *))                     \
    F(TF_Tensor *, TF_AllocateOutput,                                                           \
      (Context *, int index, int type, const int64_t *shape, int dimensions, size_t bytes,      \
       TF_Status *))
#define HIDDEN __attribute__((visibility("hidden"))) /* TensorFlow has functions of these names */
#define DECLARE(result, name, parameters) extern HIDDEN result(*name) parameters;
TENSORFLOW_FUNCTIONS(DECLARE)
#undef DECLARE

/* Look all of them up; false where one is missing. */
bool find_tensorflow(void);

/* --- ops.c -------------------------------------------------------------------------------- */

/* Attributes of operations. Forward has the last two by its name, not by attributes: shape
 * inference cannot read these, so that each form of the outputs has an operation of its own. */
enum { NUMBER, CELL, THREADS, REVERSE, ZERO_MASKED, KEEP, JOINED, SEQUENCES, ATTRIBUTES };
extern HIDDEN const char *const attribute_names[ATTRIBUTES];
enum { OUTPUTS_ALL, OUTPUTS_JOINED, OUTPUTS_LAST }; /* all steps, of two side by side, the last */

/* The lists of arrays, one of each layer, that the operations read and give, in their order. */
enum { KERNEL, RECURRENT, BIAS, WEIGHTS };
enum { FORWARD_H0 = WEIGHTS, FORWARD_C0, FORWARD_INPUTS };
enum { OUTPUTS, FINAL_H, FINAL_C, TAPE, FORWARD_OUTPUTS };
enum { BACKWARD_TAPE = WEIGHTS, D_OUTPUTS, D_H, D_C, BACKWARD_INPUTS };
enum { D_SUMS, D_KERNEL, D_RECURRENT, D_BIAS, D_H0, D_C0, BACKWARD_OUTPUTS };
enum { INPUTS_D_SUMS, INPUTS_KERNEL, INPUTS_INPUTS };
enum { SHARED = 2 }; /* x and the mask, before the lists of forward and backward */

/* The kernels: these read the attributes, which compute gets. */
void *read_attributes(Construction *construction);
void *read_for_all(Construction *construction);
void *read_for_joined(Construction *construction);
void *read_for_last(Construction *construction);
void compute_forward(void *attributes, Context *context);
void compute_backward(void *attributes, Context *context);
void compute_inputs_gradient(void *attributes, Context *context);

#endif
