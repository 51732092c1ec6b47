/* NVML by script, for machines without a GPU: as much of libnvidia-ml.so.1 as worker/lifecycle/nvml.py asks.
 *
 * NVML_SCRIPT names a file with a line a GPU, read anew at every call:
 *     UUID TOTAL_BYTES USED_BYTES UTILISATION_PERCENT STATE NAME…
 * STATE is `ok` or `lost`. Without the file there is no driver.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };
enum { MOST = 16 };

struct gpu { char uuid[96], name[96], state[16]; unsigned long long total, used; unsigned percent; };
struct memory { unsigned long long total, free, used; };
struct utilization { unsigned gpu, memory; };

/* The GPUs of the script, at most MOST; -1 without a script. */
static int look(struct gpu gpus[MOST])
{
    const char *path = getenv("NVML_SCRIPT");
    FILE *script = path ? fopen(path, "r") : NULL;
    int count = 0;
    if (!script)
        return -1;
    while (count < MOST && fscanf(script, "%95s %llu %llu %u %15s %95[^\n]", gpus[count].uuid, &gpus[count].total,
                                  &gpus[count].used, &gpus[count].percent, gpus[count].state, gpus[count].name) == 6)
        count++;
    fclose(script);
    return count;
}

/* A handle is the GPU's number, counted from one. */
static int find(void *handle, struct gpu *found)
{
    struct gpu gpus[MOST];
    long number = (long)handle - 1;
    if (number < 0 || number >= look(gpus))
        return INVALID_ARGUMENT;
    *found = gpus[number];
    return strcmp(found->state, "lost") ? SUCCESS : GPU_IS_LOST;
}

int nvmlInitWithFlags(unsigned flags)
{
    struct gpu gpus[MOST];
    (void)flags;
    return look(gpus) < 0 ? DRIVER_NOT_LOADED : SUCCESS;
}

int nvmlShutdown(void) { return SUCCESS; }

int nvmlDeviceGetCount_v2(unsigned *count)
{
    struct gpu gpus[MOST];
    int found = look(gpus);
    *count = found < 0 ? 0 : found;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle)
{
    struct gpu gpu;
    *handle = (void *)(long)(index + 1);
    return find(*handle, &gpu);
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending)
{
    (void)handle, (void)current, (void)pending;
    return NOT_SUPPORTED;
}

static int told(void *handle, char *text, unsigned length, int is_name)
{
    struct gpu gpu;
    int result = find(handle, &gpu);
    if (result == SUCCESS)
        snprintf(text, length, "%s", is_name ? gpu.name : gpu.uuid);
    return result;
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) { return told(handle, uuid, length, 0); }

int nvmlDeviceGetName(void *handle, char *name, unsigned length) { return told(handle, name, length, 1); }

int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory)
{
    struct gpu gpu;
    int result = find(handle, &gpu);
    if (result == SUCCESS)
        *memory = (struct memory){gpu.total, gpu.total - gpu.used, gpu.used};
    return result;
}

int nvmlDeviceGetUtilizationRates(void *handle, struct utilization *rates)
{
    struct gpu gpu;
    int result = find(handle, &gpu);
    if (result == SUCCESS)
        *rates = (struct utilization){gpu.percent, 0};
    return result;
}
