/* The CPU quota of the control group this process runs in: what a container may use, which the affinity mask
 * does not show. Version 2 keeps "QUOTA PERIOD" or "max PERIOD" in cpu.max, version 1 two files; a quota
 * anywhere between the group and the root holds, so the chain is walked up. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/threads.h"

#define DIR_ROOM  4096
#define PATH_ROOM (DIR_ROOM + 32) /* a directory and a file of the control group in it */

static bool read_line(const char *path, char *line, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool ok = fgets(line, (int)size, file) != NULL;
    fclose(file);
    if (ok) line[strcspn(line, "\n")] = '\0';
    return ok;
}

static int whole_cpus(const char *quota_text, const char *period_text)
{
    int64_t quota, period;
    if (!dcls_parse_int(quota_text, &quota) || !dcls_parse_int(period_text, &period)) return INT_MAX;
    if (quota <= 0 || period <= 0 || quota / period > INT_MAX) return INT_MAX;
    return quota / period > 0 ? (int)(quota / period) : 1;
}

/* Both take the directory of a group; INT_MAX where it has no quota or does not exist. */
static int quota_v2(const char *dir)
{
    char path[PATH_ROOM], line[64];
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    if (!read_line(path, line, sizeof line)) return INT_MAX;
    char *space = strchr(line, ' ');
    if (space == NULL) return INT_MAX;
    *space = '\0';
    return whole_cpus(line, space + 1);
}

static int quota_v1(const char *dir)
{
    char path[PATH_ROOM], quota[64], period[64];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    if (!read_line(path, quota, sizeof quota)) return INT_MAX;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    if (!read_line(path, period, sizeof period)) return INT_MAX;
    return whole_cpus(quota, period);
}

/* The smallest quota of group "/a/b" and its parents up to the mount point itself: inside a container the
 * group's own path is often not visible while the mount point is the container's group. */
static int smallest_quota(const char *mount, const char *group, int (*quota_of)(const char *dir))
{
    char dir[DIR_ROOM];
    int length = snprintf(dir, sizeof dir, "%s%s", mount, group);
    if (length < 0 || (size_t)length >= sizeof dir) return INT_MAX;
    size_t root = strlen(mount);
    int smallest = INT_MAX;
    for (;;) {
        int quota = quota_of(dir);
        if (quota < smallest) smallest = quota;
        char *slash = strrchr(dir + root, '/');
        if (slash == NULL) return smallest;
        *slash = '\0';
    }
}

static bool lists_cpu(const char *controllers)
{
    for (const char *name = controllers; *name != '\0';) {
        size_t length = strcspn(name, ",");
        if (length == 3 && memcmp(name, "cpu", 3) == 0) return true;
        name += length + (name[length] == ',');
    }
    return false;
}

/* One line of /proc/self/cgroup: "0::/group" (version 2) or "4:cpu,cpuacct:/group" (version 1). */
static int quota_of_line(const char *root, char *line)
{
    char mount[DIR_ROOM];
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL) return INT_MAX;
    *controllers++ = '\0';
    *group++ = '\0';
    if (*controllers == '\0') {
        snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
        return smallest_quota(mount, group, quota_v2);
    }
    if (!lists_cpu(controllers)) return INT_MAX;
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, controllers);
    int quota = smallest_quota(mount, group, quota_v1);
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
    int linked = smallest_quota(mount, group, quota_v1);
    return quota < linked ? quota : linked;
}

int dcls_cgroup_cpus(const char *root)
{
    char line[DIR_ROOM];
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *file = fopen(line, "re");
    if (file == NULL) return INT_MAX;
    int smallest = INT_MAX;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        int quota = quota_of_line(root, line);
        if (quota < smallest) smallest = quota;
    }
    fclose(file);
    return smallest;
}
