/* The contract alone, in whatever language this is compiled as. */
#include <gorb/abi.h>

typedef int at_least_one_declaration;
