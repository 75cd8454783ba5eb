#include <gorb/abi.h>
